//! What observers see of messages.

mod common;

use std::sync::Arc;

use common::{FOR_EVER, Length, Name, Sleep, on_both_engines, pair};
use labrpc::{Conditions, DelayRange, NetEventKind, NoReply};
use parking_lot::Mutex;

#[test]
fn an_observer_sees_every_event_in_order_of_time() {
    on_both_engines(5, || {
        let pair = pair();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        pair.network.observe(move |event| {
            let line = format!(
                "{} {} {}->{} {} {}",
                event.call, event.kind, event.from, event.to, event.method, event.bytes
            );
            sink.lock().push((event.at, line));
        });
        let second = Arc::new(Mutex::new(0));
        let counter = second.clone();
        pair.network.observe(move |_| *counter.lock() += 1);

        pair.end.call(&Length("abc".to_owned())).expect("all is well");
        pair.network.set_conditions(Conditions { request_loss: 1.0, ..Conditions::reliable() });
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        pair.network.set_conditions(Conditions { reply_loss: 1.0, ..Conditions::reliable() });
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        pair.network.set_conditions(Conditions {
            late_reply: 1.0,
            late_reply_delay: DelayRange::millis(50, 100),
            ..Conditions::reliable()
        });
        assert!(pair.end.call(&Name(1)).is_ok());
        pair.network.set_conditions(Conditions::reliable());
        pair.network.set_link("S0", "C0", false);
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));
        pair.network.set_link("S0", "C0", true);
        let call = pair.call_until(NetEventKind::RequestDelivered, &Sleep(FOR_EVER));
        pair.network.remove("S0");
        assert_eq!(call.wait().0, Err(NoReply));
        assert_eq!(pair.end.call(&Name(1)), Err(NoReply));

        let seen = seen.lock().clone();
        assert!(seen.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(*second.lock(), seen.len());
        let lines: Vec<_> = seen.into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            lines,
            [
                "0 request sent C0->S0 Junk.Length 4",
                "0 request delivered C0->S0 Junk.Length 4",
                "0 reply sent C0->S0 Junk.Length 1",
                "0 reply delivered C0->S0 Junk.Length 1",
                "1 request sent C0->S0 Junk.Name 1",
                "1 request lost C0->S0 Junk.Name 1",
                "2 request sent C0->S0 Junk.Name 1",
                "2 request delivered C0->S0 Junk.Name 1",
                "2 reply sent C0->S0 Junk.Name 9",
                "2 reply lost C0->S0 Junk.Name 9",
                "3 request sent C0->S0 Junk.Name 1",
                "3 request delivered C0->S0 Junk.Name 1",
                "3 reply sent C0->S0 Junk.Name 9",
                "3 reply late C0->S0 Junk.Name 9",
                "3 reply delivered C0->S0 Junk.Name 9",
                "4 request sent C0->S0 Junk.Name 1",
                "4 request delivered C0->S0 Junk.Name 1",
                "4 reply sent C0->S0 Junk.Name 9",
                "4 no path C0->S0 Junk.Name 9",
                "5 request sent C0->S0 Junk.Sleep 6",
                "5 request delivered C0->S0 Junk.Sleep 6",
                "5 cut off C0->S0 Junk.Sleep 0",
                "6 request sent C0->S0 Junk.Name 1",
                "6 no path C0->S0 Junk.Name 1",
            ]
        );
    });
}

#[test]
fn contents_are_shown_to_those_who_ask() {
    on_both_engines(5, || {
        let pair = pair();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        pair.network.observe(move |event| {
            let content = event.content.map(str::to_owned);
            sink.lock().push((event.kind, content));
        });
        pair.end.call(&Length("abc".to_owned())).expect("all is well");
        assert!(seen.lock().drain(..).all(|(_, content)| content.is_none()));

        pair.network.show_contents();
        pair.end.call(&Length("abc".to_owned())).expect("all is well");
        let content = |text: &str| Some(text.to_owned());
        let expected = [
            (NetEventKind::RequestSent, content("\"abc\"")),
            (NetEventKind::RequestDelivered, content("\"abc\"")),
            (NetEventKind::ReplySent, content("3")),
            (NetEventKind::ReplyDelivered, content("3")),
        ];
        assert_eq!(*seen.lock(), expected);
    });
}
