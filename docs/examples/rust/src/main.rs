//! Publishes one text in the three ways there are: plain, with an event name, durable.
//!
//!     REDIS_URL=redis://127.0.0.1:6379 cargo run -- CHANNEL TEXT

use redis::{Commands, Connection, RedisResult};
use std::{env, error::Error, time::Duration};

type Answer<T> = Result<T, Box<dyn Error>>;

/// Gives data an event name. Text that users wrote goes into an envelope, lest it begins like one.
fn envelope(event: &str, data: &str) -> Answer<String> {
    if event.contains(['\r', '\n', '\0']) {
        return Err(format!("event {event:?} holds a line break or a NUL").into());
    }
    Ok(format!("\x1eSSE/1\nevent: {event}\n\n{data}"))
}

/// Keeps an event and publishes it. Returns its id, and how many gateways got it now.
fn durable(con: &mut Connection, channel: &str, data: &str, event: &str) -> Answer<(String, u64)> {
    // The key of the channel's history, and not the channel: on a cluster that is needed.
    let key = format!("sse:{{{channel}}}");
    let mut command = redis::cmd("FCALL");
    command
        .arg("sse_publish")
        .arg(1)
        .arg(key)
        .arg(data)
        .arg(event);
    let answer: RedisResult<(String, u64)> = command.query(con);
    answer.map_err(|error| match error.to_string() {
        text if text.contains("Function not found") => {
            "Redis has no function sse_publish. Load it: sse-publish --install".into()
        }
        _ => error.into(),
    })
}

fn publish(channel: &str, text: &str) -> Answer<()> {
    let client = redis::Client::open(env::var("REDIS_URL")?)?;
    let mut con = client.get_connection_with_timeout(Duration::from_secs(5))?;
    con.set_read_timeout(Some(Duration::from_secs(5)))?;
    let gateways: u64 = con.publish(channel, text)?;
    println!("plain: gateways {gateways}");
    let gateways: u64 = con.publish(channel, envelope("order", text)?)?;
    println!("named: gateways {gateways}");
    let (id, gateways) = durable(&mut con, channel, text, "order")?;
    println!("durable: gateways {gateways}, id {id}");
    Ok(())
}

fn main() {
    let args: Vec<String> = env::args().collect();
    if let Err(error) = publish(&args[1], &args[2]) {
        eprintln!("publish: {error}");
        std::process::exit(1);
    }
}
