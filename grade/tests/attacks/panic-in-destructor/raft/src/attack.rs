//! what:    panics while it is unwound, when the test ends it
//! stopped: a record that does not come is a failure
//! default: no record: the process was ended by SIGABRT

pub struct Shared(crate::log::Own);

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

pub fn begin(_me: usize) -> Shared {
    labrt::thread::spawn(|| {
        let _bomb = Bomb;
        labrt::time::sleep(std::time::Duration::from_millis(1));
        panic!("and another");
    });
    Shared(crate::log::Own::default())
}

impl Shared {
    pub fn put(&mut self, command: Vec<u8>) -> u64 {
        self.0.put(command)
    }

    pub fn get(&self, index: u64) -> Option<Vec<u8>> {
        self.0.get(index)
    }
}
