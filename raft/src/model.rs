//! The core alone, as a model: servers that a seeded scheduler drives through loss, duplication,
//! reordering, crashes and snapshots, while every event is checked against Figure 3.
//!
//! There are no tasks, no locks and no network here: a run is a loop, and thousands take a second.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use labgob::Bytes;
use raftapi::harness::Disk as _;
use raftapi::{ApplyMsg, EntryId, LogIndex, Persister, ServerId, Term};
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};

use crate::{
    log::Entry,
    message::{
        AppendEntriesArgs, AppendEntriesReply, Call, InstallSnapshotArgs, InstallSnapshotReply,
        Request, RequestVoteArgs, RequestVoteReply,
    },
    state::{State, Time},
};

const RUNS: u64 = 3000;
const STEPS: usize = 400;

/// Something under way between two servers.
#[derive(Clone)]
enum Packet {
    Request(Request),
    VoteReply(RequestVoteArgs, RequestVoteReply),
    AppendReply(AppendEntriesArgs, AppendEntriesReply),
    InstallReply(InstallSnapshotArgs, InstallSnapshotReply),
    NoReply(Request),
}

#[derive(Clone)]
struct Flight {
    from: ServerId,
    to: ServerId,
    /// Which incarnation of `to` it is for; a reply to a server that crashed goes nowhere.
    incarnation: Option<u32>,
    packet: Packet,
}

struct Server {
    state: State,
    persister: Arc<Persister>,
    incarnation: u32,
    /// What its service applied last.
    applied: LogIndex,
    /// The highest term it ever showed.
    term: Term,
}

struct Model {
    rng: Xoshiro256PlusPlus,
    hardship: Hardship,
    now: Time,
    servers: Vec<Server>,
    /// Nothing reaches this server, and nothing that it sends arrives.
    cut_off: Option<ServerId>,
    flights: Vec<Flight>,
    checks: Checks,
    commands: u64,
}

/// What Figure 3 promises, and what was seen so far.
#[derive(Default)]
struct Checks {
    leaders: BTreeMap<Term, ServerId>,
    /// Each entry ever seen in a log, with the one before it.
    entries: BTreeMap<EntryId, (EntryId, Entry)>,
    /// What was first applied at an index, and the lowest term in which it was known committed.
    committed: BTreeMap<LogIndex, (Term, Vec<u8>, Term)>,
    snapshots_installed: usize,
}

/// How hard a run is; drawn for each, so that some make progress and some hardly do.
struct Hardship {
    /// Probability that a message is lost.
    loss: f64,
    /// Probability that a request stays under way to be delivered again.
    duplication: f64,
    /// Probability that the oldest message is not the next to arrive.
    reordering: f64,
    /// Probability that not the next timer goes off but any, as on a machine that stalls.
    stalls: f64,
    /// Crashes in a thousand steps.
    crashes: u32,
    /// How often, in a thousand steps, another server is cut off, or none.
    cuts: u32,
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let count = [3, 3, 5, 4][rng.random_range(0..4)];
        let servers = (0..count)
            .map(|me| {
                let persister = Arc::new(Persister::new());
                let state = State::new(ServerId(me), count, Arc::clone(&persister), rng.random());
                let (applied, term) = (LogIndex(0), Term(0));
                Server { state, persister, incarnation: 0, applied, term }
            })
            .collect();
        let hardship = Hardship {
            loss: [0.0, 0.1, 0.3][rng.random_range(0..3)],
            duplication: [0.0, 0.1, 0.3][rng.random_range(0..3)],
            reordering: [0.1, 0.5, 1.0][rng.random_range(0..3)],
            stalls: [0.0, 0.05, 0.5][rng.random_range(0..3)],
            crashes: [0, 5, 30][rng.random_range(0..3)],
            cuts: [0, 10, 30][rng.random_range(0..3)],
        };
        let (now, flights) = (Time::ZERO, Vec::new());
        let (cut_off, checks) = (None, Checks::default());
        Model { rng, hardship, now, servers, cut_off, flights, checks, commands: 0 }
    }

    fn step(&mut self) {
        let server = self.rng.random_range(0..self.servers.len());
        if self.rng.random_ratio(self.hardship.crashes, 1000) {
            self.crash(server);
        }
        if self.rng.random_ratio(self.hardship.cuts, 1000) {
            self.cut_off = self.rng.random_bool(0.7).then_some(ServerId(server));
        }
        match self.rng.random_range(0..100) {
            0..65 => self.deliver_something(),
            65..80 => self.start_something(server),
            80..85 => self.compact(server),
            85..95 => self.apply(server),
            _ => self.let_time_pass(),
        }
        self.check_all();
    }

    /// A message arrives, or is lost, or arrives and stays under way to come again.
    fn deliver_something(&mut self) {
        if self.flights.is_empty() {
            return self.let_time_pass();
        }
        let any = self.rng.random_bool(self.hardship.reordering);
        let chosen = if any { self.rng.random_range(0..self.flights.len()) } else { 0 };
        let again = self.is_request(chosen) && self.rng.random_bool(self.hardship.duplication);
        let flight = if again { self.flights[chosen].clone() } else { self.flights.remove(chosen) };
        let cut = [Some(flight.from), Some(flight.to)].contains(&self.cut_off);
        if cut || self.rng.random_bool(self.hardship.loss) {
            if let Packet::Request(request) = flight.packet {
                let incarnation = Some(self.servers[flight.from.0].incarnation);
                let packet = Packet::NoReply(request);
                self.flights.push(Flight { from: flight.to, to: flight.from, incarnation, packet });
            }
            return;
        }
        let receiver = &self.servers[flight.to.0];
        if flight.incarnation.is_none_or(|incarnation| incarnation == receiver.incarnation) {
            self.deliver(flight);
        }
    }

    fn is_request(&self, flight: usize) -> bool {
        matches!(self.flights[flight].packet, Packet::Request(_))
    }

    fn deliver(&mut self, Flight { from, to, packet, .. }: Flight) {
        let now = self.now;
        self.now += Duration::from_micros(10);
        let state = &mut self.servers[to.0].state;
        let calls = match packet {
            Packet::Request(request) => {
                let packet = answer(state, request, now);
                let incarnation = Some(self.servers[from.0].incarnation);
                return self.flights.push(Flight { from: to, to: from, incarnation, packet });
            }
            Packet::VoteReply(args, reply) => state.on_vote_reply(from, args.term, &reply, now),
            Packet::AppendReply(args, reply) => state.on_append_reply(from, &args, &reply, now),
            Packet::InstallReply(args, reply) => state.on_install_reply(from, &args, &reply, now),
            Packet::NoReply(request) => {
                state.on_no_reply(from, &request, now);
                Vec::new()
            }
        };
        self.send(to, calls);
    }

    fn send(&mut self, from: ServerId, calls: Vec<Call>) {
        for Call { to, request } in calls {
            let packet = Packet::Request(request);
            self.flights.push(Flight { from, to, incarnation: None, packet });
        }
    }

    fn start_something(&mut self, server: usize) {
        self.commands += 1;
        let command = Bytes::from(self.commands.to_string().into_bytes());
        let state = &mut self.servers[server].state;
        if state.start(command).is_ok() && self.rng.random_bool(0.7) {
            let calls = state.replicate(self.now);
            self.send(ServerId(server), calls);
        }
    }

    /// Whatever was not saved is gone.
    fn crash(&mut self, me: usize) {
        let count = self.servers.len();
        let server = &mut self.servers[me];
        server.persister = Arc::new(server.persister.copy());
        let persister = Arc::clone(&server.persister);
        server.state = State::new(ServerId(me), count, persister, self.rng.random());
        // Its time begins with itself; here all servers share one, so put it on.
        server.state.reset_election_timer(self.now);
        server.incarnation += 1;
        // Its service begins with its snapshot, or with nothing.
        server.applied = server.state.log.last_included().index;
    }

    fn compact(&mut self, server: usize) {
        let server = &mut self.servers[server];
        let base = server.state.log.last_included().index;
        if server.applied > base {
            let index = LogIndex(self.rng.random_range(base.0 + 1..=server.applied.0));
            server.state.take_snapshot(index, index.to_string().into_bytes());
        }
    }

    fn apply(&mut self, server: usize) {
        let server = &mut self.servers[server];
        for message in server.state.take_deliveries() {
            match message {
                ApplyMsg::Command { index, term, command } => {
                    assert_eq!(index, server.applied.next(), "applied in order, each once");
                    server.applied = index;
                    self.checks.commit(index, term, &command, server.state.current_term);
                }
                ApplyMsg::Snapshot { index, data, .. } => {
                    assert!(index > server.applied, "applied goes back to a snapshot at {index}");
                    assert_eq!(data, index.to_string().into_bytes());
                    server.applied = index;
                    self.checks.snapshots_installed += 1;
                }
            }
        }
    }

    /// A timer goes off.
    fn let_time_pass(&mut self) {
        let chosen = if self.rng.random_bool(self.hardship.stalls) {
            self.rng.random_range(0..self.servers.len())
        } else {
            let next = self.servers.iter().enumerate().min_by_key(|(_, s)| s.state.deadline());
            next.expect("there are servers").0
        };
        self.now = self.now.max(self.servers[chosen].state.deadline());
        let calls = self.servers[chosen].state.on_timer(self.now);
        self.send(ServerId(chosen), calls);
        // Messages that are too many are lost, else time would only ever grow their number.
        while self.flights.len() > 40 {
            let lost = self.rng.random_range(0..self.flights.len());
            self.flights.swap_remove(lost);
        }
    }

    fn check_all(&mut self) {
        for server in &mut self.servers {
            let state = &server.state;
            assert!(state.current_term >= server.term, "the term of {} went back", state.me);
            server.term = state.current_term;
            assert!(
                state.last_applied <= state.commit_index
                    && state.commit_index <= state.log.last_id().index
            );
            self.checks.log_matching(state);
            if state.is_leader() {
                self.checks.leader(state);
            }
        }
    }
}

impl Checks {
    /// State Machine Safety: at an index, all servers apply the same.
    fn commit(&mut self, index: LogIndex, term: Term, command: &[u8], known_in: Term) {
        let first =
            self.committed.entry(index).or_insert_with(|| (term, command.to_vec(), known_in));
        assert_eq!(
            (first.0, first.1.as_slice()),
            (term, command),
            "another entry is applied at {index}"
        );
        first.2 = first.2.min(known_in);
    }

    /// Log Matching: equal ids, equal entries and equal prefixes.
    fn log_matching(&mut self, state: &State) {
        let mut prev = state.log.last_included();
        for entry in state.log.entries_from(prev.index.next()) {
            let id = EntryId { term: entry.term, index: prev.index.next() };
            assert!(id.term >= prev.term, "terms fall along the log of {}", state.me);
            let seen = self.entries.entry(id).or_insert((prev, entry.clone()));
            assert_eq!((seen.0, &seen.1), (prev, entry), "two logs differ at or before {id}");
            prev = id;
        }
    }

    /// Election Safety: a term has one leader. Leader Completeness: it has what was committed in
    /// earlier terms.
    fn leader(&mut self, state: &State) {
        let leader = *self.leaders.entry(state.current_term).or_insert(state.me);
        assert_eq!(leader, state.me, "two leaders in {}", state.current_term);
        for (&index, &(term, _, known_in)) in &self.committed {
            if known_in < state.current_term && index >= state.log.last_included().index {
                let own = state.log.term_at(index);
                assert_eq!(own, Some(term), "the leader of {} lacks {index}", state.current_term);
            }
        }
    }
}

fn answer(state: &mut State, request: Request, now: Time) -> Packet {
    match request {
        Request::Vote(args) => {
            let reply = state.on_request_vote(&args, now);
            Packet::VoteReply(args, reply)
        }
        Request::Append(args) => {
            let reply = state.on_append_entries(args.clone(), now);
            Packet::AppendReply(args, reply)
        }
        Request::Install(args) => {
            let reply = state.on_install_snapshot(&args, now);
            Packet::InstallReply(args, reply)
        }
    }
}

/// Election Safety, Log Matching, Leader Completeness, State Machine Safety (Figure 3), and that
/// the service is given everything once and in order.
#[test]
fn figure_3_holds_whatever_happens_to_messages_and_servers() {
    let (mut applied, mut elections, mut snapshots) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut model = Model::new(seed);
        for _ in 0..STEPS {
            model.step();
        }
        applied += model.checks.committed.len();
        elections += model.checks.leaders.len();
        snapshots += model.checks.snapshots_installed;
    }
    // Runs in which nothing happens would prove nothing.
    let seen = format!("{applied} applied, {elections} elections, {snapshots} snapshots installed");
    assert!(applied > 20_000 && elections > 5_000 && snapshots > 200, "{seen}");
}
