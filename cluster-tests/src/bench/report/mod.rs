//! Figures as a page: the tables of `docs/performance.md`, which are between marks, and its charts.
//!
//! The prose of the page is written by hand and not changed. A mark without given figures keeps its
//! table, so that a page can be updated in parts.

mod charts;
mod figures;
mod tables;

use std::path::Path;

use serde_json::Value;

use crate::RigError;
use figures::Figures;

/// Writes the tables into `page`, and the charts into the directory of the same name beside it.
///
/// # Errors
/// When a file does not hold figures, or the page lacks a mark that there are figures for.
pub fn write(files: &[impl AsRef<Path>], page: &Path) -> Result<(), RigError> {
    let mut figures = Figures::default();
    for file in files {
        let file = file.as_ref();
        let text = std::fs::read_to_string(file).map_err(RigError::at("read", file))?;
        let not_figures = || RigError::Answer(format!("{} holds no figures of a benchmark", file.display()));
        let value: Value = serde_json::from_str(&text).map_err(|_| not_figures())?;
        figures.add(&value).ok_or_else(not_figures)?;
    }
    let mut text = std::fs::read_to_string(page).map_err(RigError::at("read", page))?;
    for (mark, table) in tables::all(&figures) {
        text = between_marks(&text, mark, &table)?;
    }
    std::fs::write(page, text).map_err(RigError::at("write", page))?;
    let dir = page.with_extension("");
    std::fs::create_dir_all(&dir).map_err(RigError::at("make", &dir))?;
    for (name, chart) in charts::all(&figures) {
        let path = dir.join(format!("{name}.svg"));
        std::fs::write(&path, chart.to_svg()).map_err(RigError::at("write", &path))?;
    }
    Ok(())
}

/// Puts `table` after `<!-- figures: mark -->`, up to the next `<!-- end of figures -->`.
fn between_marks(text: &str, mark: &str, table: &str) -> Result<String, RigError> {
    let (begin, end) = (format!("<!-- figures: {mark} -->\n"), "<!-- end of figures -->");
    let lacks = || RigError::Answer(format!("the page has no mark {}", begin.trim_end()));
    let (before, rest) = text.split_once(&begin).ok_or_else(lacks)?;
    let (_, after) = rest.split_once(end).ok_or_else(lacks)?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests;
