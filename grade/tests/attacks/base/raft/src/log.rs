//! An honest log: it is its server's own.

/// What this server took in.
#[derive(Default)]
pub struct Own(Vec<Vec<u8>>);

impl Own {
    /// Appends, and says where.
    pub fn put(&mut self, command: Vec<u8>) -> u64 {
        self.0.push(command);
        self.0.len() as u64
    }

    /// The command at an index, from 1.
    pub fn get(&self, index: u64) -> Option<Vec<u8>> {
        self.0.get(index as usize - 1).cloned()
    }
}
