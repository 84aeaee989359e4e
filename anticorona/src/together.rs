//! Every part in one process, each on its own port, talking over real sockets.

use chassis::{
    config::Env,
    listen::Listener,
    process::{Fatal, PartArgs, Process},
};
use tokio::{select, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs every part until the token is cancelled.
pub(crate) async fn serve(args: PartArgs, stop: CancellationToken) -> Result<(), Fatal> {
    let parts = start(&args)?;
    run(parts, stop).await
}

/// The parts in the order in which they stop: whoever calls stops before whom it calls, so that
/// everything accepted at the edge still finds its way.
pub(crate) struct Parts(Vec<Running>);

struct Running {
    stop: CancellationToken,
    ended: CancellationToken,
    task: JoinHandle<Result<(), Fatal>>,
}

pub(crate) fn start(args: &PartArgs) -> Result<Parts, Fatal> {
    let env = Env::of(vec![
        (booking::config::VACCINE_URL, args.net.neighbour(vaccine::config::PORT)),
        (gateway::config::BOOKING_URL, args.net.neighbour(booking::config::PORT)),
    ]);
    let vaccine = vaccine::Config::from_env(args, &env)?;
    let booking = booking::Config::from_env(args, &env)?;
    let gateway = gateway::Config::from_env(args, &env)?;
    // All ports first: whoever calls a neighbour that is not up yet waits in its queue.
    let ports = [vaccine.listen, booking.listen, gateway.listen].map(Listener::bind);
    let [vaccine_port, booking_port, gateway_port] = ports;
    let (vaccine_port, booking_port, gateway_port) = (vaccine_port?, booking_port?, gateway_port?);
    let vaccine = spawn(|process| vaccine::serve_on(vaccine_port, vaccine, process));
    let booking = spawn(|process| booking::serve_on(booking_port, booking, process));
    let gateway = spawn(|process| gateway::serve_on(gateway_port, gateway, process));
    Ok(Parts(vec![gateway, booking, vaccine]))
}

fn spawn<F>(serve: impl FnOnce(Process) -> F) -> Running
where
    F: Future<Output = Result<(), Fatal>> + Send + 'static,
{
    let stop = CancellationToken::new();
    let ended = CancellationToken::new();
    let (serving, leaving) = (serve(Process::new(stop.clone())), ended.clone().drop_guard());
    let task = TaskTracker::new().spawn(async move {
        let _leaving = leaving; // Also when it panics.
        serving.await
    });
    Running { stop, ended, task }
}

/// Waits for the token, or for a part that ends by itself; then stops all of them, in order.
pub(crate) async fn run(mut parts: Parts, stop: CancellationToken) -> Result<(), Fatal> {
    select! {
        () = stop.cancelled() => {}
        () = first_to_end(&mut parts) => {}
    }
    let mut ended = Ok(());
    for part in parts.0 {
        part.stop.cancel();
        // Every part is drained and heard, even after one has failed.
        let this = part.task.await.unwrap_or_else(|panicked| Err(panicked.into()));
        ended = ended.and(this);
    }
    ended
}

/// Resolves when a part has ended by itself. It looks through the tokens that parts leave behind,
/// so that what a part ended with is still there to be heard.
async fn first_to_end(parts: &mut Parts) {
    let [gateway, booking, vaccine] = parts.0.as_mut_slice() else { return };
    select! {
        () = gateway.ended.cancelled() => {}
        () = booking.ended.cancelled() => {}
        () = vaccine.ended.cancelled() => {}
    }
}
