//! Does a page point at what is wrong? The patch says which step is wrong, and who takes it (`step:`
//! and `by:` in its header); a page points at the first step that it found no right Raft takes.

use serde_json::Value;
use timeline::why::Story;

use crate::explain::Explained;
use crate::mutant::Mutant;

/// What a page points at, and whether that is right.
pub(crate) struct Judgement {
    /// `vote by a follower`; or that it points at nothing.
    pub(crate) points_at: String,
    /// In words.
    pub(crate) text: String,
    pub(crate) is_right: bool,
}

pub(crate) fn judge(mutant: &Mutant, explained: &Explained) -> Judgement {
    let run = &explained.run;
    let story = Story::of(run);
    let Some(first) = story.findings.first() else {
        let points_at = "nothing".to_owned();
        return Judgement { points_at, text: String::new(), is_right: false };
    };
    let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
    let step = serde_json::to_value(first.act).map(word).unwrap_or_default();
    let role = if first.server < run.servers {
        serde_json::to_value(first.role).map(word).unwrap_or_default()
    } else {
        "client".to_owned()
    };
    let is_one_of = |list: &str, word: &str| list.split('|').any(|one| one == word);
    let by = is_one_of(&mutant.by, &role) || (is_one_of(&mutant.by, "any") && role != "client");
    let is_right = is_one_of(&mutant.step, &step) && by;
    Judgement { points_at: format!("{step}, {role}"), text: first.text.clone(), is_right }
}
