//! What a run costs the machine, compared with what the reference would need for it.
//!
//! Virtual time does not pass while a server computes, so a server that copies its log for every message is as
//! fast as any other. Nobody fails for that; but it is said, with a number.
//!
//! - The CPU time of a run is measured from outside: nothing in it learns of that.
//! - Machines and builds differ, so a fixed piece of work is measured once in each process: calls of an
//!   echo, over the same network. What the reference needs is known in such calls ([`Load::echoes`]).

use std::sync::OnceLock;

use labrpc::{Network, Rpc, Service};
use labrt::node::Node;
use labrt::sim::{self, Config};
use labrt::time::Duration;
use serde::{Deserialize, Serialize};

/// Calls of an echo that are measured together.
const ECHOES: u32 = 1000;

/// The quickest of so many measurements: others were disturbed.
const MEASUREMENTS: usize = 5;

#[derive(Debug, Serialize, Deserialize)]
struct Echo(Vec<u8>);

impl Rpc for Echo {
    type Reply = Vec<u8>;
    const METHOD: &'static str = "echo";
}

/// What was asked of the servers in a run, as far as it takes the reference time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) servers: usize,
    pub(crate) length: Duration,
    pub(crate) rpcs: u64,
    pub(crate) bytes: u64,
    pub(crate) commands: u64,
    /// How often a server was started.
    pub(crate) lives: u64,
}

impl Load {
    /// What the reference needs for it, and the tester with it, in calls of an echo.
    ///
    /// Fitted to the graded tests; for none it is off by more than a factor of two.
    #[expect(clippy::cast_precision_loss, reason = "it is an estimate")]
    fn echoes(self) -> f64 {
        let for_each_server = 8.3 * self.length.as_secs_f64() + 3.0 * self.commands as f64;
        5.0 * self.rpcs as f64
            + 0.00125 * self.bytes as f64
            + 50.0 * self.lives as f64
            + for_each_server * self.servers as f64
    }
}

/// CPU time that the reference would need for this, here and now. `None` where the system does not tell.
pub(crate) fn of_the_reference(load: Load) -> Option<Duration> {
    static ECHO: OnceLock<Option<Duration>> = OnceLock::new();
    let measure = || (0..MEASUREMENTS).map(|_| echoes()).min().flatten();
    let all = *ECHO.get_or_init(measure);
    all.map(|all| all.mul_f64(load.echoes() / f64::from(ECHOES)))
}

fn echoes() -> Option<Duration> {
    let body = || {
        let network = Network::new();
        let [server, client] = ["server", "client"].map(Node::new);
        network.serve(&server, Service::new().on(|Echo(bytes)| bytes));
        let end = network.end(&client, "server");
        let work = move || (0..ECHOES).filter(|_| end.call(&Echo(vec![7; 100])).is_ok()).count();
        client.spawn(work).join().expect("nobody kills the client")
    };
    let outcome =
        sim::run(Config { name: "echoes".to_owned(), quiet: true, ..Config::with_seed(1) }, body);
    outcome.result.is_ok().then_some(outcome.cpu).flatten()
}
