# What the containers of components/postgres.py run: `postgres.sh prepare`, then `postgres.sh serve`.
# It asks for Postgres' own programs on PATH and for nothing of an image's entry point.
set -eu
umask 077

version=$(postgres --version) # postgres (PostgreSQL) 17.7 (Debian 17.7-1.pgdg12+1)
version=${version#*) }
major=${version%%[!0-9]*}

# Statements to a Postgres that nobody can connect to: there is no moment without passwords, and
# none of them shows in a list of processes.
alone() {
	postgres --single -D "$1" -c exit_on_error=on -c log_min_error_statement=panic \
		-c log_min_duration_statement=-1 postgres >/dev/null
}

password() {
	echo "ALTER ROLE $1 LOGIN PASSWORD '$(cat "$SECRETS/$1")'"
}

create() {
	attempt=$PGDATA.attempt
	rm -rf "$attempt"
	# Not the image's locales: an upgrade of the image would reorder what indexes hold in order.
	if [ "$major" -ge 17 ]; then
		set -- --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
	else
		set -- --locale=C.UTF-8
	fi
	initdb --username=postgres --auth=reject --encoding=UTF8 --data-checksums --no-instructions \
		"$@" --pgdata="$attempt" >/dev/null
	alone "$attempt" <<-END
		CREATE ROLE $OWNER
		CREATE ROLE $RUNTIME
		CREATE DATABASE $DATABASE OWNER $OWNER
		REVOKE ALL ON DATABASE $DATABASE FROM PUBLIC
		GRANT CONNECT ON DATABASE $DATABASE TO $RUNTIME
	END
	mv "$attempt" "$PGDATA" # it appears whole: a broken-off attempt does not count
}

prepare() {
	[ -s "$PGDATA/PG_VERSION" ] || create
	files=$(cat "$PGDATA/PG_VERSION")
	if [ "$files" != "$major" ]; then
		echo "The volume holds a database of Postgres $files, and this image is Postgres $major." >&2
		echo "Set database.version to $files again, or dump with $files and restore into $major." >&2
		exit 1
	fi
	chmod 0700 "$PGDATA" # a volume that is mounted anew may give its group rights on everything
	{
		password "$OWNER"
		password "$RUNTIME"
	} | alone "$PGDATA"
}

serve() {
	exec postgres -D "$PGDATA" -c config_file="$CONFIGURATION/postgresql.conf"
}

"$1"
