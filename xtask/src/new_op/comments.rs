//! Comments of templates, whose lines are too long once names are in them.

/// Fills the paragraphs of comments anew that have a line that is too long, but for code.
pub(super) fn fill_comments(text: &str) -> String {
    let mut filled = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        let comment = Comment::of(line);
        let is_fence = comment.is_some_and(|comment| comment.text.starts_with("```"));
        let begins = comment.is_none_or(|comment| {
            in_code || comment.text.is_empty() || comment.text.starts_with(['-', '#', '|', '`'])
        });
        in_code ^= is_fence;
        let goes_on = !begins
            && paragraph.last().is_some_and(|last| {
                Comment::of(last).is_some_and(|last| {
                    let whole = last.text.is_empty() || last.text.starts_with(['#', '|']);
                    !whole && Some(last.start) == comment.map(|comment| comment.start)
                })
            });
        if !goes_on {
            fill(&mut filled, &paragraph);
            paragraph.clear();
        }
        if comment.is_none() || in_code || is_fence {
            fill(&mut filled, &paragraph);
            paragraph.clear();
            filled += line;
            filled.push('\n');
        } else {
            paragraph.push(line);
        }
    }
    fill(&mut filled, &paragraph);
    filled
}

/// A line that is a comment.
#[derive(Debug, Clone, Copy)]
struct Comment<'a> {
    /// What stands before the text.
    start: &'a str,
    text: &'a str,
}

impl<'a> Comment<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let marker = line[indent..].split(' ').next().unwrap_or_default();
        let (start, text) = line.split_at(indent + marker.len());
        matches!(marker, "//" | "///" | "//!").then_some(Self { start, text: text.trim() })
    }
}

fn fill(filled: &mut String, paragraph: &[&str]) {
    const WIDTH: usize = 100;
    let first = paragraph.first().and_then(|line| Comment::of(line));
    let Some(Comment { start, text }) =
        first.filter(|_| paragraph.iter().any(|line| width(line) > WIDTH))
    else {
        for line in paragraph {
            *filled += line;
            filled.push('\n');
        }
        return;
    };
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut line = start.to_owned();
    let words = paragraph.iter().filter_map(|line| Comment::of(line)).map(|line| line.text);
    for word in words.flat_map(str::split_whitespace) {
        if width(&line) + 1 + width(word) > WIDTH {
            *filled += &line;
            filled.push('\n');
            line = format!("{start}{indent}");
        }
        line.push(' ');
        line += word;
    }
    *filled += &line;
    filled.push('\n');
}

/// How wide a text is, without the marks above letters.
fn width(text: &str) -> usize {
    text.chars().filter(|c| *c != '\u{304}').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_comments_are_filled_and_code_is_not() {
        let words = "word ".repeat(30);
        let words = words.trim();
        let text = format!(
            "//! - {words}\n//!   end.\n//! - short\n//!   one\n//!\n/// ```\n/// {words}\n/// ```\n\
             let x = \"{words}\";\n    // {words}\n"
        );
        let filled = fill_comments(&text);
        let long = |words: usize| "word ".repeat(words).trim().to_owned();
        let expected = format!(
            "//! - {}\n//!   {} end.\n//! - short\n//!   one\n//!\n/// ```\n/// {words}\n/// ```\n\
             let x = \"{words}\";\n    // {}\n    // {}\n",
            long(19),
            long(11),
            long(18),
            long(12)
        );
        assert_eq!(filled, expected);
        // Once is enough.
        assert_eq!(fill_comments(&filled), filled);
    }
}
