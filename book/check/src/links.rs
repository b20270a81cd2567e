//! Does every link within the built book lead somewhere?
//!
//! Looked at are `href` and `src` of all pages in `target/book`: the file must be there, and in it what
//! the fragment names. Links to other sites are left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use regex::Regex;

/// Links that lead nowhere.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let book = root.join("target/book");
    let mut pages = BTreeMap::new();
    collect(&book, &mut pages);
    if pages.is_empty() {
        return vec![format!("{} has no pages; `make book` builds it", book.display())];
    }
    let link = Regex::new(r#"\s(?:href|src)="([^"]*)""#).expect("it is a regular expression");
    let id = Regex::new(r#"\sid="([^"]*)""#).expect("it is a regular expression");
    let ids: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, html)| {
            let ids = id.captures_iter(html).filter_map(|found| Some(found.get(1)?.as_str()));
            (path, ids.collect())
        })
        .collect();

    let mut problems = BTreeSet::new();
    for (path, html) in &pages {
        for found in link.captures_iter(html) {
            let target = found[1].replace("&amp;", "&");
            if let Some(problem) = problem(path, &target, &ids) {
                let page = path.strip_prefix(&book).unwrap_or(path).display();
                problems.insert(format!("{page}: {target}: {problem}"));
            }
        }
    }
    problems.into_iter().collect()
}

fn problem(
    page: &Path,
    target: &str,
    ids: &BTreeMap<&PathBuf, BTreeSet<&str>>,
) -> Option<&'static str> {
    let elsewhere = ["http://", "https://", "mailto:", "data:", "javascript:"];
    if target.is_empty() || elsewhere.iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let file = percent_decoded(file.split('?').next().unwrap_or_default());
    let path = if file.is_empty() { page.to_owned() } else { plain(&page.parent()?.join(file)) };
    let fragment = percent_decoded(fragment);
    match ids.get(&path) {
        Some(ids) if !fragment.is_empty() && !ids.contains(fragment.as_str()) => {
            Some("the page has no such place")
        }
        None if !path.is_file() => Some("there is no such file"),
        _ => None,
    }
}

/// Without `..`, so that paths compare.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        let decoded =
            code.filter(|_| byte == b'%').and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn collect(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "html")
            && let Ok(html) = fs::read_to_string(&path)
        {
            pages.insert(plain(&path), html);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files_and_places_in_them() {
        let (here, there) = (PathBuf::from("b/en/x.html"), PathBuf::from("b/zh/y.html"));
        let ids =
            BTreeMap::from([(&here, BTreeSet::from(["top"])), (&there, BTreeSet::from(["图-8"]))]);
        let problem = |target: &str| problem(&here, target, &ids);
        assert_eq!(problem("#top"), None);
        assert_eq!(problem("../zh/y.html#%E5%9B%BE-8"), None);
        assert_eq!(problem("https://raft.github.io/raft.pdf"), None);
        assert!(problem("#bottom").is_some() && problem("z.html").is_some());
        assert!(problem("../zh/y.html#8").is_some());
    }
}
