# Runs one throwaway Postgres server: sh supervisor.sh DIRECTORY BINARIES
#
# The parent holds the other end of our standard input and never writes. However it ends, SIGKILL
# included, the system closes that end; then the server is stopped and the directory removed.
#
# The directory holds what the parent prepared (password, settings, hba, and `primary` where the server
# is to be a standby: how to reach the one it follows) and what we tell it: `server` is the number of the server's process, `ended` appears when there is no server any more.

trap '' HUP INT TERM
dir=$1 bin=$2
umask 077
exec 3<&0 </dev/null >"$dir/log" 2>&1

stop() {
    rounds=0 signal=INT
    # The server ignores an interrupt that comes before it is ready for one, hence again and again.
    while [ ! -e "$dir/ended" ] && kill -0 $$; do
        [ -s "$dir/server" ] && kill -s "$signal" "$(cat "$dir/server")"
        sleep 0.05 || sleep 1
        rounds=$((rounds + 1))
        # Nothing in the directory is worth waiting for a backend that does not listen.
        [ "$rounds" -gt 100 ] && signal=QUIT
    done 2>/dev/null
}

(
    cat <&3 >/dev/null
    stop
) &
exec 3<&-

fill() {
    if [ -e "$dir/primary" ]; then
        # Its password goes into the copy, which follows it ever after.
        PGPASSWORD=$(cat "$dir/password") "$bin/pg_basebackup" --pgdata="$dir/data" \
            --dbname="$(cat "$dir/primary")" --write-recovery-conf --checkpoint=fast --no-sync
    else
        "$bin/initdb" --pgdata="$dir/data" --username=syncline --pwfile="$dir/password" \
            --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync
    fi
}

if fill; then
    rm "$dir/password"
    cat "$dir/settings" >>"$dir/data/postgresql.conf"
    cat "$dir/data/pg_hba.conf" >>"$dir/hba"
    mv "$dir/hba" "$dir/data/pg_hba.conf"
    "$bin/postgres" -D "$dir/data" &
    echo $! >"$dir/server"
    wait $!
fi
echo $? >"$dir/ended"
wait
rm -rf "$dir"
