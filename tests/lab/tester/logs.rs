//! The log: its columns and colours, and what is filtered out of it.

use std::process::Command;
use std::time::Duration;

use labsystem::lab;
use labtester::log::{Columns, old_style, paint};
use raftapi::ServerId;

#[test]
fn the_log_has_a_column_for_each_server() {
    let columns = Columns { servers: 3, width: 10 };
    let at = Duration::from_micros(1_840_312);
    let mine = columns.lay_out(at, "vote", Some(1), "grants T7 to S0");
    assert_eq!(
        mine,
        "   1.840312 vote               | grants T7  |\n                               | to S0      |\n"
    );
    let testers = columns.lay_out(at, "fault", None, "crash S1");
    assert_eq!(testers, "   1.840312 fault   == crash S1\n");
}

#[test]
fn lines_of_older_guides_are_understood() {
    let read = |text| old_style(text).map(|(topic, server, text)| (topic, server, text.to_owned()));
    let vote = Some(("vote".to_owned(), 1, "asks for votes in 4".to_owned()));
    assert_eq!(read("001280 VOTE S1 asks for votes in 4"), vote);
    assert_eq!(read("1.280 VOTE S1: asks for votes in 4"), vote);
    for other in
        ["asks for votes in 4", "001280 asks S1 for votes", "VOTE S1 asks", "12 VOTE C1 asks"]
    {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn a_topic_has_one_colour() {
    assert_eq!(
        paint("crash S1\nagain\n", "fault"),
        "\x1b[31mcrash S1\x1b[0m\n\x1b[31magain\x1b[0m\n"
    );
    assert_eq!(paint("x\n", "vote"), paint("x\n", "vote"));
    assert_ne!(paint("x\n", "vote"), paint("x\n", "elect"));
}

/// Without `LAB_LOG` a line is not even put together.
#[test]
fn nothing_is_formatted_when_nobody_listens() {
    struct Never;
    impl std::fmt::Debug for Never {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it was formatted");
        }
    }
    if std::env::var_os("LAB_LOG").is_some() || std::env::var_os("LAB_LOG_FILE").is_some() {
        return; // somebody listens
    }
    let outcome = labrt::sim::run(labrt::sim::Config::with_seed(1), || {
        tracing::error!(target: "vote", "{:?}", Never);
        labrt::println!("000000 VOTE S1 {:?}", Never);
    });
    outcome.result.unwrap();
}

/// Says something in the old way and in the new. Run by the test below.
#[test]
#[ignore = "it is run by another"]
fn logs_on_purpose() {
    lab("self", "a log", 0).ignored().run(|cluster| {
        labrt::println!("000012 VOTE S1 asks for votes in {}", 4);
        labrt::println!("000012 VOTE S2 grants one");
        tracing::info!(target: "vote", "counts them");
        tracing::info!("000013 TERM S1 is in 4");
        cluster.disconnect(ServerId(1));
    });
}

/// `LAB_LOG` chooses by topic and by server, also of lines in the old style; `LAB_LOG_FILE` takes them.
#[test]
fn the_log_is_filtered_and_goes_to_a_file() {
    let file = std::env::temp_dir().join(format!("labtester-{}.log", std::process::id()));
    let log = |topics: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["tester::logs::logs_on_purpose", "--exact", "--ignored"]);
        command.env("LAB_SEED", "1").env("LAB_LOG", topics).env("LAB_LOG_FILE", &file);
        assert!(command.output().unwrap().status.success());
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().skip(1).map(|line| line[12..].trim().to_owned()).collect::<Vec<_>>()
    };
    let columns = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found: Vec<String> = log("vote@S1,term").iter().map(|line| columns(line)).collect();
    assert_eq!(found, ["vote | asks for votes in 4 |", "term | is in 4 |"]);
    let found: Vec<String> = log("vote").iter().map(|line| columns(line)).collect();
    assert_eq!(
        found,
        ["vote | asks for votes in 4 |", "vote | | grants one", "vote == counts them"]
    );
    std::fs::remove_file(&file).unwrap();
}
