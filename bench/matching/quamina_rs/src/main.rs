//! One job of run.py: quamina-rs' rate over the events of a file.

use std::error::Error;
use std::io::{BufRead, BufReader, stdin};

use quamina::Quamina;
use serde_json::value::RawValue;

#[derive(serde::Deserialize)]
struct Job {
    events: String,
    count: usize,
    patterns: Vec<Box<RawValue>>,
    rounds: usize,
    seconds: f64,
}

/// Seconds that this thread has run; other programs don't count then.
fn seconds() -> Result<f64, Box<dyn Error>> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = told.split(' ').next().ok_or("schedstat is empty")?.parse()?;
    Ok(nanoseconds / 1e9)
}

/// Bytes of this process in memory.
fn used() -> Result<i64, Box<dyn Error>> {
    let told = std::fs::read_to_string("/proc/self/statm")?;
    let pages: i64 = told.split(' ').nth(1).ok_or("statm is short")?.parse()?;
    Ok(pages * 4096)
}

fn main() -> Result<(), Box<dyn Error>> {
    let job: Job = serde_json::from_reader(stdin())?;
    let lines = BufReader::new(std::fs::File::open(&job.events)?).lines();
    let events: Vec<String> = lines.take(job.count).collect::<Result<_, _>>()?;
    let before = used()?;
    let mut matcher = Quamina::new();
    let mut start = seconds()?;
    for (number, pattern) in job.patterns.iter().enumerate() {
        matcher.add_pattern(number, pattern.get())?;
    }
    let (adding, bytes) = (seconds()? - start, used()? - before);
    let (mut hits, mut best, mut spent, mut round) = (0, f64::INFINITY, 0.0, 0);
    while round < 1 || round < job.rounds && spent < job.seconds {
        hits = 0;
        start = seconds()?;
        for event in &events {
            hits += matcher.matches_for_event(event.as_bytes())?.len();
        }
        let took = seconds()? - start;
        best = f64::min(best, took);
        spent += took;
        round += 1;
    }
    let rate = events.len() as f64 / best;
    println!(r#"{{"rate": {rate}, "hits": {hits}, "adding_s": {adding}, "bytes": {bytes}}}"#);
    Ok(())
}
