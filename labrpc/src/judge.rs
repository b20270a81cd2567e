//! Somebody who decides the fate of each message in place of chance.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{
    MessageKind,
    fate::{ReplyFate, RequestFate},
};

/// A message that is about to leave.
#[derive(Debug, Clone, Copy)]
pub struct Sending<'a> {
    /// Who sends it: a reply's is the server that was called.
    pub from: &'a str,
    /// Who is to get it.
    pub to: &'a str,
    /// Requests and replies are both judged.
    pub kind: MessageKind,
    /// [`Rpc::METHOD`](crate::Rpc::METHOD) of the call.
    pub method: &'static str,
    /// The message, encoded.
    pub bytes: &'a [u8],
}

/// What a judge makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sentence {
    /// What chance has drawn for it.
    AsDrawn,
    /// It is lost.
    Lost,
    /// It arrives so much later. The caller of a late request is told that there is no reply
    /// ([`Conditions::late_request`](crate::Conditions::late_request)); a late reply arrives whatever happens
    /// meanwhile ([`Conditions::late_reply`](crate::Conditions::late_reply)).
    Late(Duration),
}

type Verdict = dyn Fn(&Sending<'_>) -> Sentence + Send + Sync;

/// The judge of a network, if it has one.
#[derive(Default)]
pub(crate) struct Judge(OnceLock<Arc<Verdict>>);

impl Judge {
    /// Nothing, if there is a judge already.
    pub(crate) fn appoint(&self, judge: Arc<Verdict>) -> Option<()> {
        self.0.set(judge).ok()
    }

    #[inline]
    pub(crate) fn ask<'a>(&self, message: impl FnOnce() -> Sending<'a>) -> Sentence {
        self.0.get().map_or(Sentence::AsDrawn, |judge| judge(&message()))
    }
}

impl Sentence {
    pub(crate) fn on_request(self, fate: &mut RequestFate) {
        match self {
            Sentence::AsDrawn => {}
            Sentence::Lost => fate.lost = true,
            Sentence::Late(delay) => (fate.lost, fate.late) = (false, Some(delay)),
        }
    }

    pub(crate) fn on_reply(self, fate: &mut ReplyFate) {
        match self {
            Sentence::AsDrawn => {}
            Sentence::Lost => fate.lost = true,
            Sentence::Late(delay) => (fate.lost, fate.held) = (false, Some(delay)),
        }
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Judge({})", if self.0.get().is_some() { "appointed" } else { "none" })
    }
}
