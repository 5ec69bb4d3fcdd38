//! Runs a tool: writes its secret into the pipe, watches it while it works, keeps the end of its
//! messages.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use zeroize::Zeroizing;

use super::ScrambleError;
use super::instructions::Instructions;

/// How often the tool's progress is checked.
const STEP: Duration = Duration::from_millis(100);
/// How many bytes of its messages are kept, from the end.
const SAID_BYTES_MAX: usize = 4096;

/// A running tool; killed and reaped on drop, whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // The tool may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the tool to its end.
pub(super) fn run(
    program: &Path,
    instructions: &Instructions,
    watch: &mut dyn FnMut(),
    stop: &dyn Fn() -> bool,
) -> Result<(), ScrambleError> {
    let cannot = |source| ScrambleError::Start { program: program.to_owned(), source };
    let mut command = Command::new(found(program).map_err(cannot)?);
    if let Some(directory) = &instructions.directory {
        command.current_dir(directory);
    }
    let child = command
        .args(&instructions.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let mut running = Running(child);
    let said = running.0.stderr.take().map(listen);
    if let Some(mut pipe) = running.0.stdin.take() {
        // The text is shorter than any pipe's buffer, so this cannot block. A tool that ended
        // before it read the text reports the reason itself.
        let _ = pipe.write_all(instructions.secret.as_bytes());
    }
    let status = loop {
        if stop() {
            return Err(ScrambleError::Interrupted);
        }
        if let Some(status) = running.0.try_wait().map_err(cannot)? {
            break status;
        }
        watch();
        std::thread::sleep(STEP);
    };
    watch();
    if stop() {
        // An interrupt from the terminal also reaches the tool, whose exit may then look like a
        // failure.
        return Err(ScrambleError::Interrupted);
    }
    if status.success() {
        return Ok(());
    }
    let said = said.and_then(|listener| listener.join().ok()).unwrap_or_default();
    let said = without_keys(&said, &instructions.key_texts);
    Err(ScrambleError::Failed { program: program.to_owned(), status, said })
}

/// The program's absolute path. A bare name is looked up in the search path.
fn found(program: &Path) -> std::io::Result<PathBuf> {
    if program.components().count() > 1 { std::path::absolute(program) } else { Ok(program.to_owned()) }
}

/// Reads the tool's messages, so that it never blocks on them, and keeps the end.
fn listen(mut stderr: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut kept, mut chunk) = (Vec::new(), [0_u8; 1024]);
        while let Ok(bytes @ 1..) = stderr.read(&mut chunk) {
            kept.extend_from_slice(chunk.get(..bytes).unwrap_or_default());
            let excess = kept.len().saturating_sub(SAID_BYTES_MAX);
            kept.drain(..excess);
        }
        String::from_utf8_lossy(&kept).into_owned()
    })
}

/// Removes the keys, because tools repeat options that they do not understand.
fn without_keys(said: &str, key_texts: &[Zeroizing<String>]) -> String {
    let hidden = key_texts.iter().fold(said.to_owned(), |said, key| {
        said.replace(key.as_str(), "<key>").replace(&key.to_uppercase(), "<key>")
    });
    hidden.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Instructions {
        Instructions {
            arguments: vec!["-c".into(), script.into()],
            secret: Zeroizing::new("key=abc123\n".into()),
            key_texts: vec![Zeroizing::new("abc123".into())],
            directory: None,
        }
    }

    fn run_shell(script: &str, stop: &dyn Fn() -> bool) -> Result<(), ScrambleError> {
        run(Path::new("sh"), &shell(script), &mut || {}, stop)
    }

    #[test]
    fn the_secret_arrives_and_is_not_repeated() {
        run_shell(r#"read -r line; [ "$line" = key=abc123 ]"#, &|| false).unwrap();
        let error = run_shell("cat >&2; echo ABC123 >&2; exit 3", &|| false).unwrap_err().to_string();
        assert!(error.contains("key=<key>\n<key>") && error.contains('3'), "{error}");
        assert!(!error.to_lowercase().contains("abc123"), "{error}");
    }

    #[test]
    fn a_tool_that_says_much_does_not_stand_still_and_its_last_words_are_kept() {
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done >&2; echo last >&2; exit 1";
        let error = run_shell(script, &|| false).unwrap_err().to_string();
        assert!(error.ends_with("last") && error.len() < 2 * SAID_BYTES_MAX, "{}", error.len());
    }

    #[test]
    fn a_tool_is_ended_when_the_caller_wants_to_stop() {
        let began = Instant::now();
        let stopped = run_shell("exec sleep 60", &|| began.elapsed() > Duration::from_millis(300));
        assert!(matches!(stopped, Err(ScrambleError::Interrupted)));
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run(Path::new("/no/such/tool"), &shell(""), &mut || {}, &|| false).unwrap_err();
        assert_eq!(error.to_string(), "cannot run /no/such/tool");
    }
}
