# Shared by the scripts: where the build goes.
# RocksDB takes minutes to compile: keep its objects outside the checkout, so that a machine builds it once.
export PATH="$HOME/.cargo/bin:$PATH"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ipam-ledger/target}"

# Cargo tells two checkouts that share this directory apart by the times of their files alone, and would run the build of one
# in the other. So what another checkout built of this crate is thrown away; its dependencies stay.
built_by="$CARGO_TARGET_DIR/built-by"
if [ -d "$CARGO_TARGET_DIR" ] && [ "$(cat "$built_by" 2>/dev/null)" != "$PWD" ]; then
    cargo clean --quiet --package ipam-ledger
fi
mkdir -p "$CARGO_TARGET_DIR"
echo "$PWD" >"$built_by"
