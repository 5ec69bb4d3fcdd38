//! The help of every command is held by `docs/commands.txt`, so that a change of it is seen.

use clap::{Command, CommandFactory as _};

use crate::cli::Cli;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.txt");
/// Set to write the file anew.
const BLESS: &str = "KEYMOOT_BLESS";

/// As it looks on a terminal of 100 columns, whatever this machine's terminal and environment are.
fn plain(command: Command) -> Command {
    command.term_width(100).mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(plain)
}

fn describe(command: &mut Command, path: &str, text: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    text.push_str(&format!("{}\n$ {path} --help\n\n{}\n\n", "=".repeat(100), help.join("\n").trim_end()));
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        describe(sub, &path, text);
    }
}

#[test]
fn the_help_of_every_command_is_that_of_the_documentation() {
    let mut command = plain(Cli::command());
    command.build();
    let mut text = String::from("The help of every command, kept by a test.\n\n");
    describe(&mut command, "keymoot", &mut text);
    if std::env::var_os(BLESS).is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    let differing = golden.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert!(
        golden == text,
        "the help has changed, first at {differing:?}; if that is meant: {BLESS}=1 cargo nextest run -p keymoot \
         -E 'test(the_help_of_every_command)'"
    );
}
