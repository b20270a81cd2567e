//! The supervisor that started this process, if one did (`LAB_SUPERVISOR=stdin`): it says which seeds to
//! run, and gets the records. [`labrecord::Order`] says what passes between the two.
//!
//! In the process that answers, a server that is being tested runs too. What keeps it from answering
//! in the tester's place: the order is read, and the socket taken away from standard input, before
//! the first server starts; the socket is not passed on to other programs; and each answer carries
//! the order's token, which is nowhere else.

use std::io;
use std::sync::OnceLock;

use labrecord::{About, Message, Order, Record};
use parking_lot::Mutex;

/// The other side of the socket.
pub(crate) struct Supervisor {
    order: Order,
    socket: Mutex<Socket>,
}

impl Supervisor {
    /// The supervisor of this process. The first call takes the order from standard input.
    ///
    /// # Errors
    ///
    /// If standard input is not a socket from which an order can be read.
    pub(crate) fn of_this_process() -> Result<&'static Supervisor, String> {
        static THIS: OnceLock<Result<Supervisor, String>> = OnceLock::new();
        let this = THIS.get_or_init(|| {
            let open = || {
                let (line, socket) = take_stdin()?;
                let order = serde_json::from_str(&line)?;
                Ok(Supervisor { order, socket: Mutex::new(socket) })
            };
            open().map_err(|e: io::Error| format!("LAB_SUPERVISOR=stdin: no order came: {e}"))
        });
        this.as_ref().map_err(Clone::clone)
    }

    /// What is to be run.
    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// Says what a test is.
    pub(crate) fn describe(&self, about: About) -> Result<(), String> {
        self.answer(&Message::About(about))
    }

    /// Says what a run came to.
    pub(crate) fn send(&self, record: &Record) -> Result<(), String> {
        self.answer(&Message::Record(Box::new(record.clone())))
    }

    fn answer(&self, message: &Message) -> Result<(), String> {
        let line = message.to_line(&self.order.token);
        write(&mut self.socket.lock(), &line).map_err(|e| format!("LAB_SUPERVISOR=stdin: {e}"))
    }
}

#[cfg(unix)]
type Socket = std::os::unix::net::UnixStream;

/// Reads a line from the socket that is standard input, and puts an empty input in its place.
#[cfg(unix)]
fn take_stdin() -> io::Result<(String, Socket)> {
    use std::fs::File;
    use std::io::{BufRead as _, BufReader};
    use std::os::fd::AsFd as _;

    // The copy is closed in any program that this process starts.
    let socket = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut line = String::new();
    BufReader::new(&socket).read_line(&mut line)?;
    Ok((line, socket))
}

#[cfg(unix)]
fn write(socket: &mut Socket, line: &str) -> io::Result<()> {
    io::Write::write_all(socket, line.as_bytes())
}

#[cfg(not(unix))]
type Socket = std::convert::Infallible;

#[cfg(not(unix))]
fn take_stdin() -> io::Result<(String, Socket)> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(not(unix))]
fn write(socket: &mut Socket, _line: &str) -> io::Result<()> {
    match *socket {}
}
