//! `cargo xtask book`: the guide as web pages. Its code is tested with the crate's documentation.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::process::{cargo, must, root};

/// The release line that the guide is written for.
const VERSION: &str = "0.5.4";

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<ExitCode, String> {
    build()?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the guide with mdBook, which is installed below the target folder if it is not there.
pub(crate) fn build() -> Result<(), String> {
    let book = tool()?;
    let root = root();
    must("mdbook", Command::new(book).args(["build", "docs"]).current_dir(&root))?;
    links(&root.join("docs"))?;
    rebase(&root.join("target/book"))?;
    println!("the guide: {}", root.join("target/book/index.html").display());
    Ok(())
}

fn tool() -> Result<PathBuf, String> {
    let version = |program: &Path| {
        let output = Command::new(program).arg("--version").stderr(Stdio::null()).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let fits = |program: &Path| version(program).is_some_and(|text| text.contains("v0.5."));
    let installed = root().join("target/tools");
    let ours = installed.join("bin").join(format!("mdbook{}", std::env::consts::EXE_SUFFIX));
    if let Some(found) = [PathBuf::from("mdbook"), ours.clone()].into_iter().find(|p| fits(p)) {
        return Ok(found);
    }
    let mut command = cargo();
    // Unoptimised: it takes a second for this guide either way, and a third of the time to build.
    command.args(["install", "mdbook", "--version", VERSION, "--locked", "--debug"]);
    command.args(["--no-default-features", "--features", "search", "--root"]).arg(installed);
    must("installing mdbook", &mut command)?;
    Ok(ours)
}

/// Every link of the guide to a file leads to one. mdBook does not look.
fn links(docs: &Path) -> Result<(), String> {
    let mut broken = Vec::new();
    let pages = std::fs::read_dir(docs).map_err(|error| format!("{}: {error}", docs.display()))?;
    for page in pages.flatten().map(|entry| entry.path()) {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&page)
            .map_err(|error| format!("{}: {error}", page.display()))?;
        for target in targets(&text) {
            if !docs.join(target).exists() {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("links of the guide that lead nowhere:\n  {}", broken.join("\n  ")))
}

/// The pages lie one folder deeper than their sources: links that leave the guide are made to fit.
fn rebase(pages: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let entries = std::fs::read_dir(pages).map_err(|error| failed(pages, error))?;
    for page in entries.flatten().map(|entry| entry.path()) {
        if page.extension().is_some_and(|extension| extension == "html") {
            let text = std::fs::read_to_string(&page).map_err(|error| failed(&page, error))?;
            std::fs::write(&page, rebased(&text)).map_err(|error| failed(&page, error))?;
        }
    }
    Ok(())
}

fn rebased(text: &str) -> String {
    const LINK: &str = "href=\"../";
    let mut parts = text.split(LINK);
    let mut rebased = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (target, rest) = part.split_once('"').unwrap_or((part, ""));
        // mdBook takes every page that is linked to for one of its own.
        let target = target.replace(".html", ".md");
        rebased.push_str(&format!("{LINK}../{target}\"{rest}"));
    }
    rebased
}

/// The files that a page links to, without places in them.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines()
        .filter(move |line| {
            let fence = line.trim_start().starts_with("```");
            code ^= fence;
            !code && !fence
        })
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .map(|target| target.split('#').next().unwrap_or(target))
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_that_leave_the_guide_fit_where_the_pages_lie() {
        let text = r#"<a href="../examples/a.rs">a</a> <a href="b.html">b</a> <a href="../c.html#d">c</a>"#;
        let expected = r#"<a href="../../examples/a.rs">a</a> <a href="b.html">b</a> <a href="../../c.md#d">c</a>"#;
        assert_eq!(super::rebased(text), expected);
    }

    #[test]
    fn links_to_files_are_found() {
        let text = "a [b](c.md#d), [e](https://f) [g](#h)\n```rust\nx[i](j)\n```\n[k](l/m.rs)";
        assert_eq!(super::targets(text).collect::<Vec<_>>(), ["c.md", "l/m.rs"]);
    }
}
