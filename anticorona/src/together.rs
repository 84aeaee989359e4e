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
    let parts = start(&args, Env::of_process())?;
    run(parts, stop).await
}

/// The parts in the order in which they stop: whoever calls stops before whom it calls, so that
/// everything accepted at the edge still finds its way.
pub(crate) struct Parts {
    running: Vec<Running>,
    /// Cancelled as soon as one of them has ended by itself.
    one_ended: CancellationToken,
    /// Whether each can be made to fail.
    faults: bool,
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Fatal>>,
}

pub(crate) fn start(args: &PartArgs, env: Env) -> Result<Parts, Fatal> {
    let env = env.with(vec![
        (booking::config::VACCINE_URL, args.net.neighbour(vaccine::config::PORT)),
        (gateway::config::BOOKING_URL, args.net.neighbour(booking::config::PORT)),
        (gateway::config::INJECTION_URL, args.net.neighbour(injection::config::PORT)),
        (gateway::config::MYPAGE_URL, args.net.neighbour(mypage::config::PORT)),
    ]);
    let vaccine = vaccine::Config::from_env(args, &env)?;
    let booking = booking::Config::from_env(args, &env)?;
    let injection = injection::Config::from_env(args, &env)?;
    let mypage = mypage::Config::from_env(args, &env)?;
    let gateway = gateway::Config::from_env(args, &env)?;
    // All ports first: whoever calls a neighbour that is not up yet waits in its queue.
    let vaccine_port = Listener::bind(vaccine.listen)?;
    let booking_port = Listener::bind(booking.listen)?;
    let injection_port = Listener::bind(injection.listen)?;
    let mypage_port = Listener::bind(mypage.listen)?;
    let gateway_port = Listener::bind(gateway.listen)?;
    let mut parts =
        Parts { running: Vec::new(), one_ended: CancellationToken::new(), faults: args.net.faults };
    parts.spawn(|process| gateway::serve_on(gateway_port, gateway, process));
    parts.spawn(|process| booking::serve_on(booking_port, booking, process));
    parts.spawn(|process| injection::serve_on(injection_port, injection, process));
    parts.spawn(|process| mypage::serve_on(mypage_port, mypage, process));
    parts.spawn(|process| vaccine::serve_on(vaccine_port, vaccine, process));
    Ok(parts)
}

impl Parts {
    fn spawn<F>(&mut self, serve: impl FnOnce(Process) -> F)
    where
        F: Future<Output = Result<(), Fatal>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let serving = serve(Process::new(stop.clone()).with_faults(self.faults));
        let leaving = self.one_ended.clone().drop_guard();
        let task = TaskTracker::new().spawn(async move {
            let _leaving = leaving; // Also when it panics.
            serving.await
        });
        self.running.push(Running { stop, task });
    }
}

/// Waits for the token, or for a part that ends by itself; then stops all of them, in order.
pub(crate) async fn run(parts: Parts, stop: CancellationToken) -> Result<(), Fatal> {
    select! {
        () = stop.cancelled() => {}
        () = parts.one_ended.cancelled() => {}
    }
    let mut ended = Ok(());
    for part in parts.running {
        part.stop.cancel();
        // Every part is drained and heard, even after one has failed.
        let this = part.task.await.unwrap_or_else(|panicked| Err(panicked.into()));
        ended = ended.and(this);
    }
    ended
}
