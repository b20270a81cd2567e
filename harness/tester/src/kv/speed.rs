//! What an operation costs: virtual time, messages, and what it leaves behind. Also with a leader that
//! stutters, and with none.
//!
//! The original asks for thirty operations in a second of real time, which says more of the machine
//! than of the service.

use labrt::sim;
use labrt::time::{Duration, Instant};
use raftapi::ServerId;

use super::{Client, KvCluster};
use crate::report::Failure;
use crate::text::{at, span};

/// Virtual time of an operation on average. It needs two round trips, about 1.2 ms; this is room
/// for batches and for waits that look now and then, but not for the next heartbeat.
const MEAN: Duration = Duration::from_millis(20);

/// The same on the wall clock, as in the original, for there it is the machine's time as well.
const MEAN_ON_THE_WALL: Duration = Duration::from_micros(33_333);

/// No single operation may take this time: some timeout would have to pass for it.
const LONGEST: Duration = Duration::from_millis(300);

/// Requests of the client for ten operations. It needs ten.
const CALLS_FOR_TEN: u64 = 13;

/// Of ten operations one may leave something behind that requests wait for.
const LEFT_BY_TEN: usize = 1;

/// Requests that a client sends in a second in which nobody leads. A refusal takes 0.6 ms: who asks
/// without a pause sends 1,600.
const REQUESTS_WITHOUT_A_LEADER: u64 = 1000;

/// All requests for an operation, for each server. A client's one and one to each follower would do;
/// this is room for a second round that spreads the commit index, and for heartbeats.
const REQUESTS_FOR_EACH_SERVER: u64 = 3;

impl KvCluster {
    /// One client appends to one key, so many times, one operation after the other: each is done
    /// once, in order, soon, and for few messages; and the servers keep nothing that it waited for.
    ///
    /// Who leads is last among the ends of its clerk, so it has to remember whom it found.
    pub fn expect_speed(&self, operations: u32) {
        let leader = self.expect_settled_leader();
        let mut servers: Vec<ServerId> = self.servers().filter(|s| *s != leader).collect();
        servers.push(leader);
        let mut client = self.client_with(&servers);
        client.get("x");
        self.expect_no_timeouts();

        let (began, calls, requests) =
            (Instant::now(), self.requests_of_clients(), self.stats().requests);
        let waitables = sim::waitables();
        let mut expected = String::new();
        for n in 0..operations {
            let value = format!("{n} ");
            client.append("x", &value);
            expected.push_str(&value);
        }
        let took = began.elapsed();
        let (calls, requests) =
            (self.requests_of_clients() - calls, self.stats().requests - requests);
        client.expect("x", &expected);

        let mean = if self.time_is_free() { MEAN } else { MEAN_ON_THE_WALL };
        if took > mean * operations {
            slow(operations, took, mean).raise();
        }
        let more = sim::waitables().zip(waitables).map(|(now, before)| now.saturating_sub(before));
        if let Some(more) = more.filter(|more| *more > operations as usize * LEFT_BY_TEN / 10) {
            leak(operations, more).raise();
        }
        let operations = u64::from(operations);
        self.expect_at_most(
            "requests of a client",
            calls,
            operations * CALLS_FOR_TEN / 10,
            "a clerk asks the server that answered last, and on a healthy network it answers",
            "whom a clerk asks first",
        );
        self.expect_at_most(
            "requests",
            requests,
            operations * REQUESTS_FOR_EACH_SERVER * self.len() as u64,
            "an operation takes one request of the client, and one or two to each follower",
            "what an operation waits for, and what else is sent because of it",
        );
    }

    /// An operation whose entry is committed before the leader has got round to waiting for it is
    /// answered all the same, and soon.
    pub fn expect_speed_of_a_leader_that_stutters(&self, operations: u32) {
        let leader = self.expect_settled_leader();
        let mut client = self.client();
        client.get("x");
        self.expect_no_timeouts();
        let _stutter = self.stutter(leader);
        for n in 0..operations {
            client.put("x", &n.to_string());
        }
    }

    /// All servers restart, each without the others, so that nobody leads; a client must have
    /// patience. Afterwards all is well again.
    pub fn expect_few_requests_without_a_leader(&self) {
        self.disturb();
        self.servers().for_each(|server| self.crash(server));
        self.partition(|server| server.0);
        self.servers().for_each(|server| self.start_again(server));
        let get = self.client().begin(|client| client.get("x"));
        self.sleep(Duration::from_millis(500));
        let before = self.requests_of_clients();
        self.sleep(Duration::from_secs(1));
        let requests = self.requests_of_clients() - before;
        self.expect_at_most(
            "requests without a leader",
            requests,
            REQUESTS_WITHOUT_A_LEADER,
            "a client that has asked all servers in vain waits a moment before it asks them again: \
             an election takes some hundred milliseconds",
            "what a clerk does when nobody leads",
        );
        self.heal();
        self.settle();
        get.wait();
    }

    /// From now on nothing befalls the cluster, so no operation may take long. Waits for a leader.
    pub fn expect_prompt_answers(&self) -> Client {
        self.expect_settled_leader();
        let mut client = self.client();
        client.get("");
        self.expect_no_timeouts();
        client
    }

    /// From now on operations end without waiting for any timeout; but on the wall clock, where a
    /// busy machine may make anybody wait, they just end.
    fn expect_no_timeouts(&self) {
        if self.time_is_free() {
            self.set_patience(LONGEST);
        }
    }
}

fn leak(operations: u32, more: usize) -> Failure {
    Failure::budget("servers keep what requests waited for")
        .expected("what a request waits for (a channel, a condition variable) is gone when it is answered")
        .happened(format!(
            "after {operations} operations there are {more} more of them, {}",
            at(sim::elapsed())
        ))
        .look_at("what is removed from the table of those who wait, when an entry is applied or given up")
}

fn slow(operations: u32, took: Duration, mean: Duration) -> Failure {
    Failure::budget("operations are slow")
        .expected(format!(
            "{operations} operations one after the other take at most {}, {} each: two round trips \
             and some milliseconds",
            span(mean * operations),
            span(mean)
        ))
        .happened(format!("they took {}, until {}", span(took), at(sim::elapsed())))
        .look_at("what start() wakes, and what a request waits for: not for a heartbeat, and not for a look now and then")
}
