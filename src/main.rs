//! The `sandbox-injector` binary.

fn main() -> std::process::ExitCode {
    sandbox_injector::cli::run()
}
