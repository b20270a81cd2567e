//! what:    talks past the network, through the machine's own
//! stopped: the scan; there is no network
//! default: std::net (outside the simulation)
//! flagged: no agreement

use std::net::UdpSocket;

pub struct Shared {
    socket: Option<UdpSocket>,
    log: Vec<Vec<u8>>,
}

pub fn begin(me: usize) -> Shared {
    let socket = UdpSocket::bind(("127.0.0.1", 7000 + me as u16)).ok();
    if let Some(socket) = &socket {
        socket.set_nonblocking(true).unwrap();
    }
    Shared { socket, log: Vec::new() }
}

impl Shared {
    pub fn put(&mut self, command: Vec<u8>) -> u64 {
        for peer in 1..9 {
            let to = ("127.0.0.1", 7000 + peer);
            let _ = self.socket.as_ref().map(|socket| socket.send_to(&command, to));
        }
        self.log.push(command);
        self.log.len() as u64
    }

    pub fn get(&mut self, index: u64) -> Option<Vec<u8>> {
        let mut command = vec![0; 1500];
        if let Some(Ok(length)) = self.socket.as_ref().map(|socket| socket.recv(&mut command)) {
            self.log.push(command[..length].to_vec());
        }
        self.log.get(index as usize - 1).cloned()
    }
}
