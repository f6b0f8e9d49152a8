fn main() {
    let file = std::env::args().nth(1).unwrap_or_default();
    tracing_subscriber::fmt().with_env_filter("info").init();
    let config = match writ::config::load(std::path::Path::new(&file)) {
        Ok(c) => c,
        Err(p) => {
            for p in p {
                eprintln!("{p}");
            }
            return;
        }
    };
    let rt = tokio::runtime::Runtime::new().unwrap();
    rt.block_on(async {
        let stop = tokio_util::sync::CancellationToken::new();
        let s2 = stop.clone();
        tokio::spawn(async move {
            writ::cli::server::told_to_stop().await;
            s2.cancel();
        });
        if let Err(e) = writ::cli::server::run(config, stop, |a| println!("ready {a}")).await {
            eprintln!("{e}");
        }
    });
}
