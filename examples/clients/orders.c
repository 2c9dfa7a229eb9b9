/*-------------------------------------------------------------------------
 *
 * orders.c
 *	  libpq: rows without an ID, the ID by RETURNING, an int64_t in C.
 *
 *	  orders insert SECONDS NAME FILE
 *	  orders large
 *	  orders unset
 *
 * The connection is that of the PG... variables.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
fail(PGconn *conn)
{
	fprintf(stderr, "%s", PQerrorMessage(conn));
	exit(1);
}

/* The ID that a statement with one text parameter returns. */
static int64_t
id_of(PGconn *conn, const char *sql, const char *param)
{
	PGresult   *res = PQexecParams(conn, sql, 1, NULL, &param, NULL, NULL, 0);
	int64_t		id;

	if (PQresultStatus(res) != PGRES_TUPLES_OK)
		fail(conn);
	id = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
	PQclear(res);
	return id;
}

static void
insert(PGconn *conn, double seconds, const char *name, const char *path)
{
	int64_t		until = now_us() + (int64_t) (seconds * 1000000);
	FILE	   *file = fopen(path, "w");

	if (file == NULL)
	{
		perror(path);
		exit(1);
	}
	for (int call = 1; now_us() < until; call++)
	{
		char		item[100];
		int64_t		begin = now_us();
		int64_t		id;

		snprintf(item, sizeof(item), "%s %d", name, call);
		id = id_of(conn, "INSERT INTO orders (item) VALUES ($1) RETURNING id", item);
		fprintf(file, "%s %d %" PRId64 " %" PRId64 " %" PRId64 "\n", name, call, begin, now_us(), id);
	}
	fclose(file);
}

/* An ID goes out as text, too, and comes back as the same number. */
static void
large(PGconn *conn)
{
	const int64_t ids[] = {INT64_MAX, (INT64_C(1) << 53) + 1};

	for (int i = 0; i < 2; i++)
	{
		char		text[30];

		snprintf(text, sizeof(text), "%" PRId64, ids[i]);
		id_of(conn, "INSERT INTO orders (id, item) VALUES ($1, 'libpq large') RETURNING id", text);
		printf("%" PRId64 "\n", id_of(conn, "DELETE FROM orders WHERE id = $1 RETURNING id", text));
	}
}

static void
unset(PGconn *conn)
{
	PGresult   *res = PQexec(conn, "INSERT INTO orders (item) VALUES ('lamp')");
	const char *sqlstate = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	/* ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE */
	if (sqlstate != NULL && strcmp(sqlstate, "55000") == 0)
		printf("%s: %s\n", sqlstate, PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY));
	else
		fail(conn);
	PQclear(res);
}

int
main(int argc, char **argv)
{
	PGconn	   *conn = PQconnectdb("");

	if (PQstatus(conn) != CONNECTION_OK)
		fail(conn);
	if (argc == 5 && strcmp(argv[1], "insert") == 0)
		insert(conn, atof(argv[2]), argv[3], argv[4]);
	else if (argc == 2 && strcmp(argv[1], "large") == 0)
		large(conn);
	else if (argc == 2 && strcmp(argv[1], "unset") == 0)
		unset(conn);
	else
		return 2;
	PQfinish(conn);
	return 0;
}
