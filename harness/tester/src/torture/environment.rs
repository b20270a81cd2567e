//! What a seed makes of the world: how large the cluster is, how hard its network, what befalls its
//! servers, what is asked of them.

use std::fmt;

use labrpc::{Conditions, DelayRange};
use labrt::rand::{Rng, Stream};
use labrt::time::Duration;
use raftapi::{LogIndex, ServerId};
use rand::RngExt as _;

use crate::cluster::{ServiceKind, Setup};
use crate::system::System;

/// Everything that is fixed for a run, and differs from seed to seed.
///
/// Each hardship is absent in about half of all environments: what one of them would hide, another
/// shows, and a few together are seen far more often than all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Environment {
    /// 3, 5 or 7.
    pub servers: usize,
    /// What the network does to every message while faults last.
    pub conditions: Conditions,
    /// What befalls servers.
    pub crashes: Crashes,
    /// What befalls links.
    pub partitions: Partitions,
    /// How long a server stands still, and about how often; none does if this is `None`.
    pub pauses: Option<Every>,
    /// A service takes nothing from its apply channel for so long.
    pub stalls: Option<Every>,
    /// Such a part of all saves takes up to [`SLOW_SAVE`], in which the server stands still.
    pub slow_saves: f64,
    /// Such a part of all saves begins up to [`SLOW_SAVE`] late: the task that saves waits for the disk,
    /// and what it saves is not there yet, while the server's other tasks go on.
    pub slow_disk: f64,
    /// After such a part of all commands that a service applies it calls `get_state()` and `start()`.
    pub calls_back: f64,
    /// A service needs [`SLOW_APPLY`] for each entry.
    pub slow_applies: bool,
    /// How fast each server's clock runs.
    pub clocks: Vec<f64>,
    /// After how many entries each server takes a snapshot; `None` if nobody takes any.
    pub snapshots: Option<Vec<u64>>,
    /// For Lab 4, the limit of the saved Raft state.
    pub max_raft_state: Option<usize>,
    /// Bytes of a command, or of a value.
    pub command_bytes: usize,
    /// All clients together give so many commands: large ones are few.
    pub commands: u64,
    /// Commands in a burst.
    pub burst: u64,
    /// Between two bursts of one client.
    pub between_bursts: Duration,
    /// Clients at work.
    pub clients: u64,
    /// Whoever believes to lead is given commands; else whoever is up.
    pub all_leaders: bool,
    /// Faults last so long.
    pub length: Duration,
}

/// Something that happens again and again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Every {
    /// About so much time lies between two.
    pub interval: Duration,
    /// It lasts so long at most.
    pub length: Duration,
}

/// The campaign over Raft.
pub(super) const RAFT: &str = "raft";

/// The campaign over the service.
pub(super) const KV: &str = "kv";

/// The longest that a save takes.
pub const SLOW_SAVE: Duration = Duration::from_millis(30);

/// What a slow service needs for an entry: some hundred of them take longer than requests wait.
pub const SLOW_APPLY: Duration = Duration::from_millis(1);

/// The longest that who applies something first is cut off.
pub const CUT_OFF: Duration = Duration::from_secs(1);

/// When servers crash.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crashes {
    /// At any moment, and how long they stay down.
    pub any_time: Option<Every>,
    /// Of these it is the leader.
    pub leader: f64,
    /// At the very event after a save, with this probability.
    pub at_save: f64,
    /// At the very event after a request of theirs was sent.
    pub at_send: f64,
    /// When their reply is delivered.
    pub at_reply: f64,
    /// When the first reply that they give in a term is delivered: as a rule, a vote.
    pub at_vote: f64,
    /// When the service has a command in hand.
    pub at_apply: f64,
    /// When the service has a snapshot in hand.
    pub at_install: f64,
    /// As soon as a command has been applied for the first time anywhere, by whoever did that.
    pub at_first_apply: f64,
    /// While they wait for a slow disk: with nothing saved.
    pub in_save: f64,
    /// The leader, when another server's service has a snapshot in hand: an election follows.
    pub leader_at_install: f64,
}

/// How links fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partitions {
    /// The network falls into two parts, others each time.
    pub halves: Option<Every>,
    /// The leader is in the smaller part, or alone.
    pub follow_leader: f64,
    /// A server hears nothing, or is not heard, or one link does not work in one direction.
    pub one_way: Option<Every>,
    /// A server's links go down and up.
    pub flapping: Option<Every>,
    /// Whoever applies a command first is cut off at once, for up to [`CUT_OFF`].
    pub at_first_apply: f64,
}

impl Every {
    fn rarer(self) -> Every {
        Every { interval: self.interval.saturating_mul(3), length: self.length }
    }
}

impl Environment {
    /// That of a seed, for the campaign of this name.
    #[must_use]
    pub fn draw(seed: u64, campaign: &str) -> Environment {
        let dice = &mut Stream::new(seed, &format!("torture/{campaign}/environment")).rng();
        let servers = [3, 3, 5, 5, 7][dice.random_range(0..5)];
        let conditions = network(dice);
        let crashes = Crashes {
            any_time: often(dice, 0.6, 200..2000, 1..1500),
            leader: dice.random_range(0.0..0.8),
            at_save: rarely(dice, 0.01, 0.1),
            at_send: rarely(dice, 0.002, 0.02),
            at_reply: rarely(dice, 0.002, 0.03),
            at_vote: 0.0,
            at_apply: rarely(dice, 0.005, 0.05),
            at_install: rarely(dice, 0.05, 0.5),
            at_first_apply: rarely(dice, 0.02, 0.2),
            in_save: 0.0,
            leader_at_install: 0.0,
        };
        let partitions = Partitions {
            halves: often(dice, 0.5, 300..2000, 100..2500),
            follow_leader: dice.random_range(0.0..0.8),
            one_way: often(dice, 0.35, 300..2000, 100..1500),
            flapping: often(dice, 0.3, 20..400, 10..300),
            at_first_apply: 0.0,
        };
        let pauses = often(dice, 0.35, 300..2000, 5..1200);
        let stalls = often(dice, 0.25, 300..2000, 10..1000);
        let slow_saves = if dice.random_bool(0.25) { dice.random_range(0.02..0.3) } else { 0.0 };
        let drifts = dice.random_bool(0.35);
        let mut clock = |_| if drifts { dice.random_range(0.6..1.5) } else { 1.0 };
        let clocks = (0..servers).map(&mut clock).collect();
        let snapshots = dice.random_bool(0.7).then(|| {
            let mut interval = || match dice.random_range(0..4) {
                0 => 1,
                1 => dice.random_range(2..6),
                2 => dice.random_range(6..30),
                _ => 10,
            };
            (0..servers).map(|_| interval()).collect()
        });
        let limit = [None, Some(1000), Some(1000), Some(4000)][dice.random_range(0..4)];
        // In Lab 4 the service decides what is in a command, and when it takes a snapshot.
        let is_kv = campaign == KV;
        let max_raft_state = limit.filter(|_| is_kv);
        let snapshots = snapshots.filter(|_| !is_kv);
        let command_bytes = [0, 0, 40, 400, 4000][dice.random_range(0..5)];
        let command_bytes = if is_kv { 0 } else { command_bytes };
        // Nor can anybody hold it up, or call Raft in its name.
        let stalls = stalls.filter(|_| !is_kv);
        let mut environment = Environment {
            servers,
            conditions,
            crashes,
            partitions,
            pauses,
            stalls,
            slow_saves,
            slow_disk: 0.0,
            calls_back: 0.0,
            slow_applies: false,
            clocks,
            snapshots,
            max_raft_state,
            command_bytes,
            commands: if command_bytes > 1000 { 100 } else { 400 },
            burst: [1, 1, 3, 10, 30][dice.random_range(0..5)],
            between_bursts: Duration::from_millis(dice.random_range(5..400)),
            clients: dice.random_range(1..5),
            all_leaders: dice.random_bool(0.7),
            length: Duration::from_millis(dice.random_range(3000..9000)),
        };
        // Drawn last, as is all that is new, so that a seed's other choices stay as they were.
        environment.slow_disk = seldom(dice, 0.25, 0.02..0.3);
        environment.crashes.in_save = seldom(dice, 0.5, 0.05..0.3);
        environment.crashes.leader_at_install = seldom(dice, 0.5, 0.05..0.5);
        environment.partitions.at_first_apply = seldom(dice, 0.35, 0.01..0.1);
        environment.calls_back = seldom(dice, 0.3, 0.05..0.5);
        environment.crashes.at_vote = seldom(dice, 0.4, 0.05..0.5);
        let slow_links = [0, 10, 50, 100][dice.random_range(0..4)];
        if dice.random_bool(0.4) {
            environment.conditions.per_kilobyte = Duration::from_micros(slow_links);
        }
        if environment.slow_disk == 0.0 {
            environment.crashes.in_save = 0.0;
        }
        if is_kv {
            environment.suit_clients(dice);
        }
        // Over Raft services stall, which holds up more.
        let applies = &mut Stream::new(seed, &format!("torture/{campaign}/applies")).rng();
        environment.slow_applies = is_kv && applies.random_bool(0.3);
        environment
    }

    /// A clerk makes one call after the other, and waits for each as long as it takes. So that operations
    /// come to an end in between, a network that serves clients is not as hard as one of Rafts alone.
    fn suit_clients(&mut self, dice: &mut Rng) {
        self.calls_back = 0.0;
        self.conditions.late_reply /= 10.0;
        self.conditions.late_reply_delay = DelayRange::millis(100, dice.random_range(300..2000));
        if dice.random_bool(0.6) {
            let Partitions { halves, one_way, flapping, .. } = &mut self.partitions;
            for every in [&mut self.crashes.any_time, halves, one_way, flapping, &mut self.pauses] {
                *every = every.filter(|_| dice.random_bool(0.4)).map(Every::rarer);
            }
        }
        // So many that a leader which is cut off has ten entries and more that nobody else has.
        if dice.random_bool(0.25) {
            self.clients = dice.random_range(12..20);
        }
        let bytes = [0, 0, 40, if self.max_raft_state == Some(1000) { 80 } else { 400 }];
        self.command_bytes = bytes[dice.random_range(0..bytes.len())];
    }

    /// The cluster that a story of Lab 3 begins with.
    #[must_use]
    pub fn raft_setup(&self, system: System) -> Setup {
        let snapshots = self.snapshots.is_some();
        let service = ServiceKind::Tester { snapshots };
        Setup { system, servers: self.servers, conditions: Conditions::reliable(), service }
    }

    /// The cluster that a story of Lab 4 begins with.
    #[must_use]
    pub fn kv_setup(&self, system: System) -> Setup {
        let service = ServiceKind::Kv { max_raft_state: self.max_raft_state };
        Setup { system, servers: self.servers, conditions: Conditions::reliable(), service }
    }

    /// Does this server's service take a snapshot after this index?
    #[must_use]
    pub fn takes_snapshot_at(&self, server: ServerId, index: LogIndex) -> bool {
        let interval = self.snapshots.as_ref().map(|intervals| intervals[server.0]);
        interval.is_some_and(|interval| index.0.is_multiple_of(interval))
    }

    /// Are all clocks right?
    pub(crate) fn clocks_are_right(&self) -> bool {
        self.clocks.iter().all(|rate| (rate - 1.0).abs() < f64::EPSILON)
    }
}

/// What every message meets.
fn network(dice: &mut Rng) -> Conditions {
    let delay = match dice.random_range(0..5) {
        0 | 1 => DelayRange::micros(100, 500),
        // So equal that candidates who start together meet.
        2 => {
            let least = dice.random_range(5..60);
            DelayRange::millis(least, least + 2)
        }
        3 => DelayRange::millis(1, dice.random_range(5..50)),
        _ => DelayRange::millis(0, dice.random_range(50..200)),
    };
    let loss = |dice: &mut Rng| rarely(dice, 0.02, 0.3);
    let far = |dice: &mut Rng, from| DelayRange::millis(from, from + dice.random_range(300..6000));
    Conditions {
        delay,
        extra_request_delay: DelayRange::millis(0, [0, 0, 26, 100][dice.random_range(0..4)]),
        request_loss: loss(dice),
        duplicate: rarely(dice, 0.02, 0.3),
        duplicate_delay: far(dice, 0),
        late_request: rarely(dice, 0.02, 0.2),
        late_request_delay: far(dice, 100),
        reply_loss: loss(dice),
        late_reply: rarely(dice, 0.05, 0.6),
        late_reply_delay: far(dice, 100),
        ..Conditions::reliable()
    }
}

/// Nothing in half of all cases, else something from `least` to `most`.
fn rarely(dice: &mut Rng, least: f64, most: f64) -> f64 {
    let value = dice.random_range(least..most);
    if dice.random_bool(0.5) { value } else { 0.0 }
}

/// Something in this range with this probability, else nothing.
fn seldom(dice: &mut Rng, probability: f64, range: std::ops::Range<f64>) -> f64 {
    let value = dice.random_range(range);
    if dice.random_bool(probability) { value } else { 0.0 }
}

/// Something that happens again and again, with this probability.
fn often(
    dice: &mut Rng,
    probability: f64,
    interval: std::ops::Range<u64>,
    length: std::ops::Range<u64>,
) -> Option<Every> {
    let every = Every {
        interval: Duration::from_millis(dice.random_range(interval)),
        length: Duration::from_millis(dice.random_range(length)),
    };
    dice.random_bool(probability).then_some(every)
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Every { interval, length } = self;
        write!(f, "every {} ms for up to {} ms", interval.as_millis(), length.as_millis())
    }
}

/// One block: what is not there is not spoken of.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |range: DelayRange| format!("{:?} to {:?}", range.min, range.max);
        let often = |every: &Option<Every>, what: &str| {
            every.as_ref().map(|every| format!("{what} {every}"))
        };
        let share = |share: f64, what: &str| {
            (share > 0.0).then(|| format!("{what} {:.1} %", 100.0 * share))
        };
        let c = &self.conditions;
        let network = [
            Some(format!("messages take {}", millis(c.delay))),
            (c.extra_request_delay.max > Duration::ZERO)
                .then(|| format!("requests {} more", millis(c.extra_request_delay))),
            (c.per_kilobyte > Duration::ZERO)
                .then(|| format!("each 1,000 bytes {:?}", c.per_kilobyte)),
            share(c.request_loss, "requests lost"),
            share(c.reply_loss, "replies lost"),
            share(c.duplicate, &format!("requests again after {}:", millis(c.duplicate_delay))),
            share(c.late_request, &format!("requests late by {}:", millis(c.late_request_delay))),
            share(c.late_reply, &format!("replies held for {}:", millis(c.late_reply_delay))),
        ];
        let crashes = [
            often(&self.crashes.any_time, "any time"),
            Some(format!("the leader {:.0} %", 100.0 * self.crashes.leader))
                .filter(|_| self.crashes.any_time.is_some()),
            share(self.crashes.at_save, "after a save"),
            share(self.crashes.at_send, "after a send"),
            share(self.crashes.at_reply, "when a reply arrives"),
            share(self.crashes.at_vote, "when the first reply in a term arrives"),
            share(self.crashes.at_apply, "at a command in hand"),
            share(self.crashes.at_install, "at a snapshot in hand"),
            share(self.crashes.at_first_apply, "after a first apply"),
            share(self.crashes.in_save, "in a slow save"),
            share(self.crashes.leader_at_install, "the leader at a follower's install"),
        ];
        let partitions = [
            often(&self.partitions.halves, "two parts"),
            Some(format!(
                "the leader in the smaller {:.0} %",
                100.0 * self.partitions.follow_leader
            ))
            .filter(|_| self.partitions.halves.is_some()),
            often(&self.partitions.one_way, "one way only"),
            often(&self.partitions.flapping, "flapping"),
            share(self.partitions.at_first_apply, "cut off after a first apply"),
        ];
        let clocks = self.clocks.iter().map(|rate| format!("{rate:.2}")).collect::<Vec<_>>();
        let servers = [
            often(&self.pauses, "stand still"),
            often(&self.stalls, "services stall"),
            share(self.slow_saves, "slow saves"),
            share(self.slow_disk, "saves wait for the disk"),
            share(self.calls_back, "services call back"),
            self.slow_applies.then(|| format!("services need {SLOW_APPLY:?} for an entry")),
            (!self.clocks_are_right()).then(|| format!("clocks run at {}", clocks.join(" "))),
            self.max_raft_state.map(|limit| format!("Raft state within {limit} bytes")),
            self.snapshots.as_ref().map(|every| format!("snapshots after {every:?} entries")),
        ];
        let load = [
            Some(format!("{} clients", self.clients)),
            Some(format!("bursts of {}", self.burst)),
            Some(format!("every {} ms", self.between_bursts.as_millis())),
            (self.command_bytes > 0).then(|| format!("{} bytes each", self.command_bytes)),
            Some(
                if self.all_leaders { "to whoever leads" } else { "to the newest leader" }
                    .to_owned(),
            ),
        ];
        write!(f, "{} servers, faults for {} ms", self.servers, self.length.as_millis())?;
        let lines: [(&str, &[Option<String>]); 5] = [
            ("network", &network),
            ("crashes", &crashes),
            ("links", &partitions),
            ("servers", &servers),
            ("load", &load),
        ];
        for (name, parts) in lines {
            let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
            if !parts.is_empty() {
                write!(f, "\n             {name:<10} {}", parts.join(", "))?;
            }
        }
        Ok(())
    }
}
