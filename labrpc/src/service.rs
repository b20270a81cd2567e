use std::{any::type_name, fmt, panic::Location, sync::Arc};

use labgob::DecodeError;

use crate::{Rpc, content, delivery::Encoded};

/// What a server answers: one handler for each method.
///
/// A handler takes a request and returns the reply. Each request runs in a task of its own on the
/// server's node, so a handler may block for as long as it likes, and several may run at once.
///
/// ```
/// use labrpc::{Rpc, Service};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Double(u32);
///
/// impl Rpc for Double {
///     const METHOD: &'static str = "Calculator.Double";
///     type Reply = u32;
/// }
///
/// let service = Service::new().on(|Double(n)| 2 * n);
/// assert_eq!(service.methods().collect::<Vec<_>>(), ["Calculator.Double"]);
/// ```
#[derive(Clone, Default)]
pub struct Service {
    /// In the order of registration. A handful, so found by looking at each.
    methods: Vec<Method>,
}

/// One method and its handler.
#[derive(Clone)]
struct Method {
    name: &'static str,
    task: HandlerTask,
    handle: Arc<Handler>,
}

/// What reports call the tasks that run a handler.
#[derive(Clone)]
pub(crate) struct HandlerTask {
    /// The method, once for all requests.
    pub(crate) name: Arc<str>,
    /// The line that gave the handler.
    pub(crate) at: &'static Location<'static>,
}

/// From the bytes of a request to its reply, with its text if that is asked for.
type Handler = dyn Fn(&[u8], bool) -> Result<Encoded, Undecodable> + Send + Sync;

/// The bytes of a request are not what its handler takes.
#[derive(Debug)]
pub(crate) struct Undecodable {
    pub(crate) expected: &'static str,
    pub(crate) error: DecodeError,
}

impl Service {
    /// Answers nothing yet.
    pub fn new() -> Service {
        Service::default()
    }

    /// Answers requests of type `R` with `handler`. Reports call its tasks by the method, and say
    /// that they were spawned at the line of this call.
    ///
    /// # Panics
    ///
    /// If the service has a handler for this method already.
    #[must_use]
    #[track_caller]
    pub fn on<R: Rpc>(self, handler: impl Fn(R) -> R::Reply + Send + Sync + 'static) -> Service {
        let handle = move |bytes: &[u8], with_content: bool| match labgob::from_bytes::<R>(bytes) {
            Ok(request) => {
                let reply = handler(request);
                let content = with_content.then(|| content::show(&reply));
                Ok(Encoded { bytes: labgob::to_bytes(&reply), content })
            }
            Err(error) => Err(Undecodable { expected: type_name::<R>(), error }),
        };
        let task = HandlerTask { name: R::METHOD.into(), at: Location::caller() };
        self.and(Service {
            methods: vec![Method { name: R::METHOD, task, handle: Arc::new(handle) }],
        })
    }

    /// Answers what `other` answers, too: a key/value server and its Raft share a name.
    ///
    /// # Panics
    ///
    /// If both have a handler for one method.
    #[must_use]
    #[track_caller]
    pub fn and(mut self, other: Service) -> Service {
        for method in other.methods {
            assert!(self.position(method.name).is_none(), "{} has two handlers", method.name);
            self.methods.push(method);
        }
        self
    }

    /// The names of the methods it answers, in the order of registration.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.methods.iter().map(|method| method.name)
    }

    /// The place of a method, for [`task`](Self::task) and [`handle`](Self::handle).
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.methods.iter().position(|method| method.name == name)
    }

    /// What to call a task for the handler in that place.
    pub(crate) fn task(&self, position: usize) -> HandlerTask {
        self.methods[position].task.clone()
    }

    /// Runs the handler in that place.
    pub(crate) fn handle(
        &self,
        position: usize,
        request: &[u8],
        with_content: bool,
    ) -> Result<Encoded, Undecodable> {
        (self.methods[position].handle)(request, with_content)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.methods()).finish()
    }
}
