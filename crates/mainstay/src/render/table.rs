//! Tables of text: columns as wide as their widest cell, two spaces between.

/// The lines of a table; the first one is the heading.
#[must_use]
pub fn lines(heading: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut all = vec![heading.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()];
    all.extend(rows.iter().cloned());
    let columns = heading.len();
    let width = |column: usize| {
        all.iter().filter_map(|r| r.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    all.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let pad = width - cell.chars().count();
                format!("{cell}{}", " ".repeat(pad))
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["longer".to_owned(), "b".to_owned()]];
        assert_eq!(super::lines(&["X", "Y"], &rows), ["X       Y", "a       long cell", "longer  b"]);
    }
}
