fn main() -> std::process::ExitCode {
    ipam_ledger::cli::main()
}
