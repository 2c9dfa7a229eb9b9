-- A client of the ticket servers.  Variables: odd and even, their sockets.

CREATE EXTENSION dblink;

CREATE TABLE ticket_server (nr integer PRIMARY KEY, connection text);
INSERT INTO ticket_server VALUES
	(0, format('host=%s port=5432 user=postgres dbname=postgres', :'odd')),
	(1, format('host=%s port=5432 user=postgres dbname=postgres', :'even'));

-- The statement commits on the ticket server at once, so its row is locked
-- for no longer than that.  A session keeps its connection, and goes to the
-- other server when it is lost or cannot be made.
CREATE FUNCTION ticket() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	ticket bigint;
	server integer := nullif(current_setting('ticket.server', true), '');
	wanted integer := 0;
BEGIN
	FOR attempt IN 1 .. 4 LOOP
		BEGIN
			IF server IS NULL THEN
				IF 'ticket' = ANY (dblink_get_connections()) THEN
					PERFORM dblink_disconnect('ticket');
				END IF;
				PERFORM dblink_connect('ticket', connection) FROM ticket_server WHERE nr = wanted;
				server := wanted;
				PERFORM set_config('ticket.server', server::text, false);
			END IF;
			SELECT t.id INTO STRICT ticket
			  FROM dblink('ticket', 'UPDATE ticket SET id = id + 2 RETURNING id') AS t(id bigint);
			RETURN ticket;
		EXCEPTION
			WHEN connection_exception OR admin_shutdown OR crash_shutdown THEN
				wanted := 1 - coalesce(server, wanted);
				server := NULL;
		END;
	END LOOP;
	RAISE EXCEPTION 'no ticket server answers';
END
$$;

-- Without a standby.
CREATE FUNCTION ticket_alone() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF dblink_get_connections() IS NULL THEN
		PERFORM dblink_connect('ticket', connection) FROM ticket_server WHERE nr = 0;
	END IF;
	RETURN (SELECT t.id
			  FROM dblink('ticket', 'UPDATE ticket SET id = id + 2 RETURNING id') AS t(id bigint));
END
$$;

-- Through postgres_fdw.  That updates in a transaction which lasts as long as
-- the local one, and is REPEATABLE READ.
CREATE EXTENSION postgres_fdw;
CREATE SERVER ticket FOREIGN DATA WRAPPER postgres_fdw
	OPTIONS (host :'odd', port '5432', dbname 'postgres');
CREATE USER MAPPING FOR postgres SERVER ticket OPTIONS (user 'postgres');
CREATE FOREIGN TABLE ticket_fdw (id bigint NOT NULL) SERVER ticket OPTIONS (table_name 'ticket');

CREATE FUNCTION ticket_by_fdw() RETURNS bigint
LANGUAGE sql VOLATILE AS 'UPDATE ticket_fdw SET id = id + 2 RETURNING id';
