# What the container of components/object_store.py runs. It asks for `versitygw` on PATH and for
# nothing of an image's entry point.
set -eu

objects=$DATA/objects
attributes=$DATA/attributes # beside the files, not on them: NFS before 4.2 has no room there
policy=$attributes/$BUCKET/meta/policy
owner=$attributes/$BUCKET/meta/acl

mkdir -p "$objects/$BUCKET" "${policy%/*}" || {
	echo "The store cannot write to its volume as user $(id -u). If it is not full, set" \
		"objectStore.storageClass to a class whose volumes any user may write to." >&2
	exit 1
}
# A full volume takes no file, and has to start nevertheless.
cmp -s "$CONFIGURATION/policy.json" "$policy" || {
	cp "$CONFIGURATION/policy.json" "$policy.new"
	mv "$policy.new" "$policy"
}
# Where a bucket has no owner, an object cannot be copied, which is how S3 renames. Nobody is called so.
[ -s "$owner" ] || { echo '{"Owner":"nobody"}' >"$owner.new" && mv "$owner.new" "$owner"; } || true

# Parts of uploads that nobody ended. An object is never among them.
find "$objects/$BUCKET/.sgwtmp" "$attributes/$BUCKET/.sgwtmp" \
	-depth -mindepth 1 -mtime +7 -delete 2>/dev/null || true

# The gateway wants a user who may do everything. Nobody needs one, so nobody knows its keys.
ROOT_ACCESS_KEY=$(od -An -N 16 -t x1 /dev/urandom)
ROOT_SECRET_KEY=$(od -An -N 32 -t x1 /dev/urandom)
export ROOT_ACCESS_KEY ROOT_SECRET_KEY

# Accounts are managed apart from S3, and where nobody else can get to.
exec versitygw --port ":$PORT" --admin-port "127.0.0.1:$((PORT + 1))" --health "$HEALTH" --quiet \
	--iam-dir "$SECRETS" posix --sidecar "$attributes" --disable-copy-file-range "$objects"
