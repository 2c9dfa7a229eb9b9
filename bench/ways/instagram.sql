-- Instagram's function as they published it.  Variable: number, the shard.

CREATE SEQUENCE instagram_seq;

SELECT format($create$
CREATE FUNCTION instagram_id() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	our_epoch bigint := 1314220021721;
	shard_id integer := %s;
	seq_id bigint;
	now_millis bigint;
	result bigint;
BEGIN
	SELECT nextval('instagram_seq') %% 1024 INTO seq_id;
	SELECT floor(extract(epoch FROM clock_timestamp()) * 1000) INTO now_millis;
	result := (now_millis - our_epoch) << 23;
	result := result | (shard_id << 10);
	result := result | seq_id;
	RETURN result;
END
$$ $create$, :'number') \gexec
