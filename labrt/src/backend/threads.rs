//! OS threads that pass a baton: one runs, all others wait for it. All safe Rust.
//!
//! The baton is the kernel itself, which moves to the thread that runs. Slower than coroutines, but
//! it works wherever std does, and it cross-checks them: one seed has one trace on both.

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::{Job, Signal, Step};
use crate::kernel::{self, Kernel};

/// What goes to a worker: the baton, with something to do.
enum Order {
    Start(Job, Signal, Box<Kernel>),
    Go(Signal, Box<Kernel>),
}

/// A worker's ends of its two channels.
struct Ends {
    orders: Receiver<Order>,
    baton_back: Sender<(Step, Box<Kernel>)>,
}

thread_local! {
    /// Set on workers only.
    static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) };
}

/// A thread that carries one task at a time, seen from the scheduler.
pub(crate) struct Worker {
    orders: Sender<Order>,
    baton_back: Receiver<(Step, Box<Kernel>)>,
}

/// A task on a worker.
pub(crate) struct Fiber {
    worker: Worker,
    /// What it will run, until it has started.
    job: Option<Job>,
}

/// Workers whose tasks have finished. They end with the run, since a thread inherits the captured
/// output of the test that started it.
pub(crate) struct Workers {
    stack_size: usize,
    idle: Vec<Worker>,
}

impl Workers {
    pub(crate) fn new(stack_size: usize) -> Self {
        Workers { stack_size, idle: Vec::new() }
    }

    pub(crate) fn start(&mut self, job: Job) -> Result<Fiber, (io::Error, Job)> {
        match self.idle.pop().map_or_else(|| Worker::start(self.stack_size), Ok) {
            Ok(worker) => Ok(Fiber { worker, job: Some(job) }),
            Err(problem) => Err((problem, job)),
        }
    }

    pub(crate) fn recycle(&mut self, fiber: Fiber) {
        self.idle.push(fiber.worker);
    }
}

impl Worker {
    fn start(stack_size: usize) -> io::Result<Self> {
        let (orders, take_orders) = channel();
        let (give_back, baton_back) = channel();
        let ends = Ends { orders: take_orders, baton_back: give_back };
        thread::Builder::new()
            .name("simulation".to_owned())
            .stack_size(stack_size)
            .spawn(move || work(ends))?;
        Ok(Worker { orders, baton_back })
    }
}

/// A worker's life: one job after the other, until the run is over.
fn work(ends: Ends) {
    ENDS.set(Some(ends));
    let next = || ENDS.with_borrow(|ends| ends.as_ref().expect("set above").orders.recv().ok());
    while let Some(order) = next() {
        let Order::Start(job, signal, kernel) = order else {
            unreachable!("an idle worker is given a job")
        };
        take_baton(kernel);
        job(signal);
        pass_baton(Step::Finished);
    }
}

fn take_baton(kernel: Box<Kernel>) {
    kernel.beacon.attach();
    kernel::install(kernel);
}

fn pass_baton(step: Step) {
    let kernel = kernel::uninstall().expect("whoever runs has the baton");
    ENDS.with_borrow(|ends| {
        let ends = ends.as_ref().expect("only workers pass the baton back");
        // The scheduler is gone only if its thread panicked; then nothing matters any more.
        let _ = ends.baton_back.send((step, kernel));
    });
}

impl Fiber {
    pub(crate) fn resume(&mut self, signal: Signal) -> Step {
        let kernel = kernel::uninstall().expect("whoever runs has the baton");
        let order = match self.job.take() {
            Some(job) => Order::Start(job, signal, kernel),
            None => Order::Go(signal, kernel),
        };
        let taken = self.worker.orders.send(order).is_ok();
        assert!(taken, "a worker lives as long as its task");
        let (step, kernel) = self.worker.baton_back.recv().expect("a worker gives the baton back");
        take_baton(kernel);
        step
    }
}

/// Is this thread a worker?
pub(crate) fn is_worker() -> bool {
    ENDS.with_borrow(Option::is_some)
}

/// Passes the baton to the scheduler and waits to get it back.
pub(crate) fn suspend() -> Signal {
    pass_baton(Step::Suspended);
    let order = ENDS.with_borrow(|ends| ends.as_ref().and_then(|ends| ends.orders.recv().ok()));
    match order {
        Some(Order::Go(signal, kernel)) => {
            take_baton(kernel);
            signal
        }
        Some(Order::Start(..)) => unreachable!("this worker has a job"),
        // The run is over and has given this task up: it must not go on.
        None => loop {
            thread::park();
        },
    }
}
