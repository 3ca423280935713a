//! tmp
#[global_allocator]
static A: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
fn main() {
    tracing_subscriber::fmt().with_env_filter("info").with_ansi(false).init();
    let flags = std::env::args()
        .skip(1)
        .map(|a| {
            let (k, v) = a.split_once('=').unwrap();
            (k.to_owned(), v.to_owned())
        })
        .collect();
    let config =
        server::config::Config::load(&server::config::Layers { flags, ..Default::default() })
            .unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rt.block_on(server::node::run(config, "0.1.0", async {
        tokio::signal::ctrl_c().await.ok();
    }))
    .unwrap();
}
