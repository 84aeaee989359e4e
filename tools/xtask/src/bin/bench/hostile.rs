//! What one hostile client takes from ten ordinary citizens: the share of their requests that is
//! booked, and their rate beside that without it. Everything goes through the gateway, on loopback.

use std::{net::SocketAddr, path::PathBuf, thread, time::Duration};

use clap::Args;
use drill::{
    DrillError, Load, OpenLoad, Reconnect, Request, Requests, Schedule, Stop, Summary, Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    machine::count_of,
    report::{self, Cell, Row, Source},
    system::{self, STOCK, TestSystem},
};

/// The citizens; each opens a connection for every booking.
const CITIZENS: u16 = 10;

/// An attack begins so long before the citizens, and ends so long after them.
const MARGIN: Duration = Duration::from_secs(1);

/// A connection that was closed is opened again after this pause.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);

/// As the liveness probe of the deployment: its interval here, and its time limit.
const PROBE_INTERVAL: Duration = Duration::from_millis(200);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

const LIVENESS: &str = "/actuator/health/liveness";

/// The arguments of `cargo xtask bench hostile`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of bookings, alone and during each attack
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=30))]
    seconds: u64,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the hostile client does.
enum Attack {
    /// Opens connections, sends these bytes on each, and then nothing.
    Connections(u16, Vec<u8>),
    /// Sends requests in a closed loop, on so many connections.
    Flood(u16, Requests),
    /// Sends so many requests a second, whether they are answered or not.
    Paced(f64, Requests),
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<(), DrillError> {
    system::build(&system::PROGRAM)?;
    let source = Source::of_this_run()?;
    let lasting = Duration::from_secs(options.seconds);
    let alone = measure(None, lasting).await?;
    let mut rows = vec![row("no attack", &alone, &alone)];
    for (name, attack) in attacks() {
        eprintln!("{name}");
        rows.push(row(name, &measure(Some(attack), lasting).await?, &alone));
    }
    println!("\n{}\n{CITIZENS} citizens who reconnect for every booking\n", source.line());
    println!("{}", report::table(&rows));
    report::write_json(options.json.as_deref(), &source, &rows)
}

fn attacks() -> Vec<(&'static str, Attack)> {
    let flood = |path| Attack::Flood(20, Request::get(path).into());
    let in_a_hurry = drill::booking_request(1).header("x-request-deadline-ms", "5");
    let ticket = |number: u64| {
        let key = number.to_string();
        let request = drill::booking_request(1).header("prefer", "respond-async");
        request.header("idempotency-key", &key)
    };
    vec![
        ("500 chunked bodies that never end", Attack::Connections(500, endless_body())),
        ("20 clients with `x-request-deadline-ms: 5`", Attack::Flood(20, in_a_hurry.into())),
        (
            "40 pages of 1,000 bookings a second",
            Attack::Paced(40.0, Request::get("/bookings?size=1000").into()),
        ),
        ("3,000 silent connections", Attack::Connections(3_000, Vec::new())),
        ("2,400 unfinished heads of 60 KB", Attack::Connections(2_400, unfinished_head())),
        ("tickets of one user on 20 connections", Attack::Flood(20, Requests::made(ticket))),
        ("`/nope` on 20 connections", flood("/nope")),
        ("metrics on 20 connections", flood("/actuator/prometheus")),
        ("`/bookings?size=1000` on 20 connections", flood("/bookings?size=1000")),
    ]
}

fn endless_body() -> Vec<u8> {
    b"POST /bookings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
      transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"
        .to_vec()
}

fn unfinished_head() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nhost: x\r\nx: ".to_vec();
    head.resize(60 * 1_000, b'x');
    head
}

/// What the citizens got, and beside it the system.
struct Measured {
    citizens: Summary,
    probes: u64,
    probes_answered: u64,
    memory_mib: f64,
}

async fn measure(attack: Option<Attack>, lasting: Duration) -> Result<Measured, DrillError> {
    let system = TestSystem::serve().await?;
    let id = system.register(STOCK).await?;
    let gateway = system.target("gateway")?;
    let all = lasting + 2 * MARGIN;
    // On a thread of its own: it must not delay the citizens in this one.
    let attacker = attack.map(|attack| {
        let target = gateway.clone();
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(attack.run(&target, all))
        })
    });
    sleep(MARGIN).await;
    let load = Load {
        users: CITIZENS,
        reconnect: Reconnect::EachRequest,
        stop: Stop::after(lasting),
        request: drill::booking_request(id).into(),
    };
    let (citizens, (probes, probes_answered)) =
        tokio::join!(load.run(&gateway), probe(&gateway, lasting));
    let memory_mib = system.memory_mib()?;
    if let Some(attacker) = attacker {
        attacker.join().map_err(|_| "the attack has panicked")??;
    }
    Ok(Measured { citizens, probes, probes_answered, memory_mib })
}

/// How many probes were sent, and how many answered in time.
async fn probe(target: &Target, lasting: Duration) -> (u64, u64) {
    let (mut sent, mut answered) = (0, 0);
    let request = Request::get(LIVENESS);
    let probes = async {
        loop {
            let response = timeout(PROBE_TIMEOUT, drill::send(target, &request)).await;
            sent += 1;
            if matches!(response, Ok(Ok(response)) if response.status == 200) {
                answered += 1;
            }
            sleep(PROBE_INTERVAL).await;
        }
    };
    drop(timeout(lasting, probes).await);
    (sent, answered)
}

impl Attack {
    async fn run(self, target: &Target, lasting: Duration) -> Result<(), DrillError> {
        match self {
            Self::Connections(count, bytes) => {
                let address: SocketAddr = target.authority().parse().map_err(|_| "no address")?;
                let bytes: &[u8] = bytes.leak();
                let mut connections = JoinSet::new();
                for _ in 0..count {
                    connections.spawn(hold(address, bytes));
                }
                sleep(lasting).await;
            }
            Self::Flood(users, request) => {
                let (reconnect, stop) = (Reconnect::Never, Stop::after(lasting));
                Load { users, reconnect, stop, request }.run(target).await;
            }
            Self::Paced(per_second, request) => {
                OpenLoad::new(Schedule::constant(per_second, lasting), request).run(target).await;
            }
        }
        Ok(())
    }
}

/// Keeps a connection on which these bytes were sent, and opens it again when it is closed.
async fn hold(address: SocketAddr, bytes: &'static [u8]) {
    loop {
        if let Ok(mut stream) = TcpStream::connect(address).await
            && stream.write_all(bytes).await.is_ok()
        {
            let mut response = [0; 1_024];
            while stream.read(&mut response).await.is_ok_and(|read| read > 0) {}
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

fn row(name: &str, measured: &Measured, alone: &Measured) -> Row {
    let Measured { citizens, probes, probes_answered, memory_mib } = measured;
    let percent = |part: f64, whole: f64| Some(100.0 * part / whole.max(f64::MIN_POSITIVE));
    let rate = citizens.rate_per_second(201);
    let cells = vec![
        Cell("booked", percent(count_of(citizens.count(201)), count_of(citizens.sent)), " %"),
        Cell("bookings", Some(rate), "/s"),
        Cell("of the rate alone", percent(rate, alone.citizens.rate_per_second(201)), " %"),
        Cell("liveness answered", percent(count_of(*probes_answered), count_of(*probes)), " %"),
        Cell("memory", Some(*memory_mib), " MiB"),
    ];
    Row { name: name.to_owned(), cells }
}
