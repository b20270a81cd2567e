//! What a message says, as far as its text tells: the fields of Figure 2 and Figure 13, under the names
//! that the paper and its readers give them.

use serde_json::{Map, Value};

/// Index and term of an entry.
pub type Entry = (u64, u64);

/// The fields of a request or a reply. What is not there, or not understood, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// The sender's term.
    pub term: Option<u64>,
    /// The entry before the new ones.
    pub prev: Option<Entry>,
    /// The terms of the new ones.
    pub entries: Option<Vec<u64>>,
    /// The leader's commit index.
    pub commit: Option<u64>,
    /// The candidate's last entry.
    pub last: Option<Entry>,
    /// The last entry in a snapshot.
    pub snapshot: Option<Entry>,
    /// Does it only ask whether a vote would be given?
    pub pre: bool,
    /// Is the vote given?
    pub granted: Option<bool>,
    /// Are the entries accepted?
    pub success: Option<bool>,
}

impl Words {
    /// Reads the text of a message.
    pub fn of(text: &str) -> Words {
        let whole = serde_json::from_str(text).or_else(|_| serde_json::from_str(&uncut(text)));
        let Ok(Value::Object(object)) = whole else { return Words::default() };
        let fields: Map<String, Value> =
            object.into_iter().map(|(name, value)| (plain(&name), value)).collect();
        let get = |names: &[&str]| names.iter().find_map(|name| fields.get(*name));
        let number = |names: &[&str]| get(names)?.as_u64();
        let entry = |name: &str| {
            let whole = get(&[name, &format!("{name}log")]).and_then(Value::as_object);
            match whole {
                Some(id) => Some((id.get("index")?.as_u64()?, id.get("term")?.as_u64()?)),
                None => Some((
                    number(&[&format!("{name}logindex"), &format!("{name}index")])?,
                    number(&[&format!("{name}logterm"), &format!("{name}term")])?,
                )),
            }
        };
        let term_of = |entry: &Value| {
            entry.as_object()?.iter().find(|(name, _)| plain(name) == "term")?.1.as_u64()
        };
        let entries = get(&["entries", "log"]).and_then(Value::as_array);
        let outcome = get(&["success", "outcome"]);
        Words {
            term: number(&["term"]),
            prev: entry("prev"),
            entries: entries.and_then(|entries| entries.iter().map(term_of).collect()),
            commit: number(&["leadercommit", "commitindex", "commit"]),
            last: entry("last"),
            snapshot: entry("lastincluded"),
            pre: get(&["pre", "prevote", "isprevote"]).and_then(Value::as_bool) == Some(true),
            granted: get(&["votegranted", "granted"]).and_then(Value::as_bool),
            success: outcome.and_then(|value| match value {
                Value::Bool(yes) => Some(*yes),
                Value::String(word) => is_yes(word),
                // A variant with fields, as serde writes it: its name, and the fields below it.
                Value::Object(fields) if fields.len() == 1 => is_yes(fields.keys().next()?),
                _ => None,
            }),
        }
    }

    /// The index of the last entry that it brings, or after which it would bring some.
    pub fn end(&self) -> Option<u64> {
        Some(self.prev?.0 + self.entries.as_ref()?.len() as u64)
    }
}

/// `prev_log_index`, `prevLogIndex` and `PrevLogIndex` are one name.
fn plain(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// Is this word for an outcome one for success, or one for its contrary? `None` if it is neither.
fn is_yes(word: &str) -> Option<bool> {
    const YES: [&str; 6] = ["accept", "success", "ok", "match", "append", "agree"];
    const NO: [&str; 10] = [
        "refus",
        "reject",
        "fail",
        "conflict",
        "mismatch",
        "stale",
        "deni",
        "old",
        "inconsisten",
        "behind",
    ];
    let word = plain(word);
    let begins = |list: &[&str]| list.iter().any(|stem| word.starts_with(stem));
    match (begins(&YES), begins(&NO)) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// A text that is too long is cut, and no JSON any more. These are the fields that it still has whole.
fn uncut(text: &str) -> String {
    let (mut depth, mut quoted, mut escaped, mut end) = (0_usize, false, false, 0);
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 1 => end = place,
            _ => {}
        }
    }
    format!("{}}}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_kinds() {
        let words = Words::of(
            r#"{"term":3,"leader":2,"prev":{"term":1,"index":9},"entries":[{"term":3,"command":"x"}],"leader_commit":8}"#,
        );
        let prev = (words.prev, words.entries.clone(), words.commit, words.end());
        assert_eq!((words.term, prev), (Some(3), (Some((9, 1)), Some(vec![3]), Some(8), Some(10))));
        let words = Words::of(r#"{"Term":3,"PrevLogIndex":9,"PrevLogTerm":1,"Entries":[]}"#);
        assert_eq!((words.term, words.prev, words.end()), (Some(3), Some((9, 1)), Some(9)));
        let words = Words::of(r#"{"term":2,"last_log_index":4,"last_log_term":1}"#);
        assert_eq!(words.last, Some((4, 1)));
        assert_eq!(Words::of(r#"{"term":2,"vote_granted":false}"#).granted, Some(false));
        assert_eq!(Words::of(r#"{"outcome":{"Refused":{"newest":0}}}"#).success, Some(false));
        assert_eq!(Words::of(r#"{"outcome":"Accepted"}"#).success, Some(true));
        assert_eq!(Words::of(r#"{"outcome":{"Accepted":{"last":7}}}"#).success, Some(true));
        assert!(Words::of(r#"{"term":2,"preVote":true}"#).pre);
        // What is not understood is no refusal.
        assert_eq!(Words::of(r#"{"outcome":{"Ahead":{"last":7}}}"#).success, None);
        assert_eq!(Words::of(r#"{"outcome":{"last":7,"term":2}}"#).success, None);
    }

    #[test]
    fn what_is_cut_has_the_fields_before() {
        assert_eq!(Words::of(r#"{"term":7,"entries":[{"ter ..."#).term, Some(7));
        let words =
            Words::of(r#"{"term":7,"prev":{"term":1,"index":9},"entries":["a\",",{"ter ..."#);
        assert_eq!((words.term, words.prev, words.entries), (Some(7), Some((9, 1)), None));
        assert_eq!(Words::of("nothing"), Words::default());
    }
}
