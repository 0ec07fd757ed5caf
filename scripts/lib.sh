# Shared by the scripts: where the build goes.
# RocksDB takes minutes to compile: keep its objects outside the checkout, so that a machine builds it once.
export PATH="$HOME/.cargo/bin:$PATH"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ipam-ledger/target}"
