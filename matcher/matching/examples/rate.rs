//! Events a second of one thread, without Python: `cargo run --release --example rate`.

use busway_matching::{Matcher, Scratch};

/// Seconds that this thread has run, where the system tells; other programs don't count then.
fn seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds: Option<f64> = told.split(' ').next().and_then(|text| text.parse().ok());
    nanoseconds.map_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64(), |ns| ns / 1e9)
}

const ROUNDS: usize = 9;
const EVENTS_A_ROUND: usize = 50_000;

/// A feature of a city's map, as event-ruler's own benchmark reads them: 841 bytes, mostly coordinates.
fn lot() -> String {
    let points: Vec<String> = (0..13)
        .map(|n| {
            format!(
                "[-122.{:014},37.{:015},0.0]",
                42_400_003_528_247u64 + n * 7919,
                780_000_003_528_247u64 + n * 104_729
            )
        })
        .collect();
    format!(
        concat!(
            r#"{{"type":"Feature","properties":{{"MAPBLKLOT":"0001001","BLKLOT":"0001001","BLOCK_NUM":"0001","LOT_NUM":"001","#,
            r#""FROM_ST":"0","TO_ST":"0","STREET":"UNKNOWN","ST_TYPE":null,"ODD_EVEN":"E"}},"#,
            r#""geometry":{{"type":"Polygon","coordinates":[[{}]]}}}}"#
        ),
        points.join(",")
    )
}

const ORDER: &str = concat!(
    r#"{"version":"0","id":"0b5e3f6a-5d3f-4d5e-9b7a-3f2f6f0a7c11","detail-type":"Order Placed","source":"shop.orders","#,
    r#""account":"000000000000","time":"2026-11-23T16:30:00Z","region":"eu-central-1","resources":["#,
    r#""arn:aws:shop:eu-central-1:000000000000:order/7"],"detail":{"order": {"id": "o-000000", "total": 129.5, "#,
    r#""currency": "EUR", "lines": 3}, "customer": {"id": "c-81234", "country": "DE", "language": "de", "email": "#,
    r#""mara@example.com"}, "payment": {"kind": "card", "state": "authorised", "provider": "acme-pay", "attempts": 1}, "#,
    r#""channel": "web", "gift": false, "note": "Please leave it with the neighbours on the second floor."}}"#
);

fn rate(name: &str, event: &str, patterns: impl Iterator<Item = String>) {
    if std::env::args().nth(1).is_some_and(|wanted| wanted != name) {
        return;
    }
    let mut matcher = Matcher::default();
    let start = seconds();
    for (number, pattern) in patterns.enumerate() {
        if let Err(wrong) = matcher.add(&format!("rule-{number}"), pattern.as_bytes()) {
            println!("{wrong}");
        }
    }
    let adding = seconds() - start;
    let mut scratch = Scratch::default();
    let mut best = f64::INFINITY;
    let mut hits = 0;
    for _ in 0..ROUNDS {
        let start = seconds();
        for _ in 0..EVENTS_A_ROUND {
            hits = matcher.find(event.as_bytes(), &mut scratch).map_or(0, <[u32]>::len);
        }
        best = best.min(seconds() - start);
    }
    let (rules, bytes) = (matcher.len(), matcher.bytes());
    println!(
        "{name:<34} {rules:>7} rules {:>10.0} events/s {hits:>3} hits; added in {adding:.3} s, {} bytes a rule",
        EVENTS_A_ROUND as f64 / best,
        bytes / rules.max(1)
    );
}

fn main() {
    let lot = lot();
    println!("order: {} bytes, lot: {} bytes", ORDER.len(), lot.len());
    let lists = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    rate("order, no field used", ORDER, lists(&[r#"{"nothing":["x"]}"#]).into_iter());
    rate("lot, no field used", &lot, lists(&[r#"{"nothing":["x"]}"#]).into_iter());
    for count in [1, 100, 1_000, 10_000, 100_000] {
        let three = |n| {
            format!(
                r#"{{"source":["shop.orders"],"detail-type":["Order Placed"],"detail":{{"order":{{"id":["o-{n:06}"]}}}}}}"#
            )
        };
        rate("order, three fields exact", ORDER, (0..count).map(three));
        rate("order, other fields", ORDER, (0..count).map(|n| format!(r#"{{"detail":{{"field-{n}":["x"]}}}}"#)));
        rate(
            "lot, one field exact",
            &lot,
            (0..count).map(|n| format!(r#"{{"properties":{{"MAPBLKLOT":["{n:07}"]}}}}"#)),
        );
    }
    let properties = |condition: &str| format!(r#"{{"properties":{{"STREET":[{condition}]}}}}"#);
    let five = |conditions: [&str; 5]| conditions.map(properties).into_iter();
    rate("lot, exact", &lot, five([r#""A""#, r#""B""#, r#""UNKNOWN""#, r#""D""#, r#""E""#]));
    rate(
        "lot, prefix",
        &lot,
        five([
            r#"{"prefix":"AC"}"#,
            r#"{"prefix":"BL"}"#,
            r#"{"prefix":"UN"}"#,
            r#"{"prefix":"DR"}"#,
            r#"{"prefix":"FU"}"#,
        ]),
    );
    rate(
        "lot, suffix",
        &lot,
        five([
            r#"{"suffix":"ON"}"#,
            r#"{"suffix":"KE"}"#,
            r#"{"suffix":"WN"}"#,
            r#"{"suffix":"DR"}"#,
            r#"{"suffix":"FU"}"#,
        ]),
    );
    rate(
        "lot, wildcard",
        &lot,
        five([
            r#"{"wildcard":"*ON*"}"#,
            r#"{"wildcard":"*K*E"}"#,
            r#"{"wildcard":"UN*N"}"#,
            r#"{"wildcard":"B*C"}"#,
            r#"{"wildcard":"*ST"}"#,
        ]),
    );
    rate(
        "lot, ignoring case",
        &lot,
        five([
            r#"{"equals-ignore-case":"jefferson"}"#,
            r#"{"equals-ignore-case":"unknown"}"#,
            r#"{"equals-ignore-case":"c"}"#,
            r#"{"equals-ignore-case":"d"}"#,
            r#"{"equals-ignore-case":"e"}"#,
        ]),
    );
    rate(
        "lot, anything-but",
        &lot,
        five([
            r#"{"anything-but":"A"}"#,
            r#"{"anything-but":"B"}"#,
            r#"{"anything-but":"UNKNOWN"}"#,
            r#"{"anything-but":["D","E"]}"#,
            r#"{"anything-but":{"prefix":"F"}}"#,
        ]),
    );
    let coordinates = |condition: &str| format!(r#"{{"geometry":{{"coordinates":[{condition}]}}}}"#);
    rate(
        "lot, numeric",
        &lot,
        [
            r#"{"numeric":["=",-122.4]}"#,
            r#"{"numeric":[">",37.0,"<",37.5]}"#,
            r#"{"numeric":[">",-1,"<",1]}"#,
            r#"{"numeric":[">",90]}"#,
            r#"{"numeric":["<",-122.42]}"#,
        ]
        .map(coordinates)
        .into_iter(),
    );
    let points: Vec<String> =
        (0..13).map(|n| format!(r#"{{"x":-122.42400{n:02}528247,"y":37.780000{n:02}35282,"z":0}}"#)).collect();
    let points =
        lot.split("[[").next().map(|head| format!(r#"{head}[[{}]]}}}}"#, points.join(","))).unwrap_or_default();
    println!("points: {} bytes", points.len());
    let both = |x: f64, y: f64| {
        format!(
            r#"{{"geometry":{{"type":["Polygon"],"coordinates":{{"x":[{{"numeric":["<",{x}]}}],"y":[{{"numeric":[">",{y}]}}]}}}}}}"#
        )
    };
    rate(
        "points, arrays",
        &points,
        [
            both(-122.0, 37.0),
            both(-122.0, 38.0),
            both(-123.0, 1.0),
            both(-122.4240005, 37.7800009),
            both(-122.424, 37.7),
        ]
        .into_iter(),
    );
}
