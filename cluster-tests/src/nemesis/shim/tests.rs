//! Programs under orders see another time and fail to sync.

use std::process::Command;

use super::*;

fn compiler_is_there() -> bool {
    Command::new("cc").arg("--version").output().is_ok()
}

#[test]
fn a_program_under_orders_sees_another_time_and_fails_to_sync() {
    if !compiler_is_there() {
        println!("NOT RUN: there is no C compiler");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let library = compile(dir.path()).unwrap();
    let mut orders = Orders::make(&dir.path().join("orders")).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).env("LD_PRELOAD", &library).env(ORDERS, dir.path().join("orders"));
        command.output().unwrap()
    };
    let year = |output: std::process::Output| String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let honest = year(run("date", &["-u", "+%s"])).parse::<i64>().unwrap();
    orders.jump(1_000_000_000).unwrap();
    let moved = year(run("date", &["-u", "+%s"])).parse::<i64>().unwrap();
    assert!((moved - honest - 1_000_000).abs() < 60, "{honest} {moved}");
    orders.jump(0).unwrap();

    let path = dir.path().join("synced").display().to_string();
    std::fs::write(&path, "x").unwrap();
    assert!(run("sync", &[&path]).status.success());
    orders.break_syncs(true).unwrap();
    assert_eq!(orders.failed_syncs().unwrap(), 0);
    assert!(!run("sync", &[&path]).status.success());
    assert_eq!(orders.failed_syncs().unwrap(), 1);
    orders.break_syncs(false).unwrap();
    orders.slow_syncs(300).unwrap();
    let began = std::time::Instant::now();
    assert!(run("sync", &[&path]).status.success());
    assert!(began.elapsed().as_millis() >= 300);
}

#[test]
fn the_steady_clock_keeps_what_it_gained() {
    let dir = tempfile::tempdir().unwrap();
    let mut orders = Orders::make(&dir.path().join("orders")).unwrap();
    orders.drift(500_000).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    orders.drift(0).unwrap();
    assert!(orders.drifted_ns >= 9_000_000, "{}", orders.drifted_ns);
    assert_eq!(orders.drift_ppm, 0);
}
