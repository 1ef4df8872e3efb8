//! Where a line goes in a file that has others of its kind.

/// Where among the lines of its kind a new one goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Before,
    After,
    Sorted,
}

/// Lines that begin like this.
pub(super) fn begins(start: &str) -> impl Fn(&str) -> bool {
    move |line| line.starts_with(start)
}

/// Inserts a line beside those of its kind.
pub(super) fn insert(
    file: &str,
    text: &str,
    place: Place,
    line: &str,
    of_its_kind: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let known: Vec<usize> = (0..lines.len()).filter(|&index| of_its_kind(lines[index])).collect();
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else {
        return Err(format!(
            "{file}: expected lines like `{}` to insert it beside, got none; nothing was changed",
            line.trim()
        ));
    };
    let mut index = match place {
        Place::Before => first,
        Place::After => last + 1,
        Place::Sorted => known.into_iter().find(|&index| lines[index] > line).unwrap_or(last + 1),
    };
    // An attribute belongs to the line below it.
    while index > 0 && lines[index - 1].trim_start().starts_with("#[") {
        index -= 1;
    }
    lines.insert(index, line);
    Ok(lines.join("\n") + "\n")
}

/// Inserts a name into a sorted list, one on each line, the last without a comma.
pub(super) fn insert_into_list(
    file: &str,
    text: &str,
    start: &str,
    name: &str,
) -> Result<String, String> {
    let missing =
        || format!("{file}: expected the list `{}…)`, got none; nothing was changed", start.trim());
    let (before, rest) = text.split_once(start).ok_or_else(missing)?;
    let (list, after) = rest.split_once(");").ok_or_else(missing)?;
    let mut names: Vec<&str> = list.split(',').map(str::trim).collect();
    names.retain(|known| !known.is_empty());
    names.push(name);
    names.sort_unstable();
    Ok(format!("{before}{start}    {}\n);{after}", names.join(",\n    ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_where_they_belong() {
        let text = "a\nuse b;\n#[x]\nuse d;\nz\n";
        let at = |place, line| insert("file", text, place, line, begins("use ")).unwrap();
        assert_eq!(at(Place::Before, "use c;"), "a\nuse c;\nuse b;\n#[x]\nuse d;\nz\n");
        assert_eq!(at(Place::Sorted, "use c;"), "a\nuse b;\nuse c;\n#[x]\nuse d;\nz\n");
        assert_eq!(at(Place::Sorted, "use e;"), "a\nuse b;\n#[x]\nuse d;\nuse e;\nz\n");
        assert_eq!(at(Place::After, "use a;"), "a\nuse b;\n#[x]\nuse d;\nuse a;\nz\n");
        let list = insert_into_list("file", "x\nall!(\n    A,\n    C\n);\ny\n", "all!(\n", "B");
        assert_eq!(list.unwrap(), "x\nall!(\n    A,\n    B,\n    C\n);\ny\n");
    }
}
