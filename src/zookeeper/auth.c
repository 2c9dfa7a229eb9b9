/*-------------------------------------------------------------------------
 *
 * auth.c
 *	  The credentials for ZooKeeper.
 *
 * They are read anew for each session, so that they can be changed without a
 * restart; the worker begins another session when they have changed, after a
 * reload or where ZooKeeper does not accept those that it has.  They are never
 * shown: not in a log, not in a view.  Where the file is stands in the log only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth.h"
#include "trouble.h"

/*
 * Is the file only for us?  The rules are those of PostgreSQL for the private
 * key of SSL: of the user that runs the server with nothing for others, or of
 * root and readable by the group.
 */
static bool
is_private(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
	{
		sf_zk_trouble_with(sf_zk_auth_file, "could not look at the file of \"snowflake.zookeeper_auth_file\": %m");
		return false;
	}
	if (!S_ISREG(st.st_mode))
	{
		sf_zk_trouble_with(sf_zk_auth_file, "the file of \"snowflake.zookeeper_auth_file\" is no regular file");
		return false;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0)
	{
		sf_zk_trouble_with(sf_zk_auth_file,
						   "the file of \"snowflake.zookeeper_auth_file\" must belong to the user that runs the server, or to root");
		return false;
	}
	if ((st.st_mode & (st.st_uid == geteuid() ? (S_IRWXG | S_IRWXO) : (S_IWGRP | S_IXGRP | S_IRWXO))) != 0)
	{
		sf_zk_trouble_with(sf_zk_auth_file,
						   "the file of \"snowflake.zookeeper_auth_file\" can be read or written by others: its mode must be 0600, or 0640 if it belongs to root");
		return false;
	}
	return true;
}

/* One line, "name:password", both not empty; returns its length or 0. */
static size_t
valid_length(const char *auth, size_t length)
{
	const char *colon;

	if (length > 0 && auth[length - 1] == '\n')
		length--;
	colon = memchr(auth, ':', length);
	if (colon == NULL || colon == auth || colon == auth + length - 1 ||
		memchr(auth, '\n', length) != NULL || memchr(auth, '\0', length) != NULL)
		return 0;
	return length;
}

/*
 * Read the credentials; a length of 0 is that there are none.  Returns false,
 * with the reason reported, where they cannot be had.
 */
bool
sf_zk_auth_read(char auth[SF_ZK_AUTH_SIZE], size_t *length)
{
	int			fd;
	ssize_t		n;

	*length = 0;
	if (*sf_zk_auth_file == '\0')
		return true;

	/* Not to hang where it is a pipe. */
	fd = open(sf_zk_auth_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
	{
		sf_zk_trouble_with(sf_zk_auth_file, "could not open the file of \"snowflake.zookeeper_auth_file\": %m");
		return false;
	}
	if (is_private(fd))
	{
		n = read(fd, auth, SF_ZK_AUTH_SIZE);
		if (n < 0)
			sf_zk_trouble_with(sf_zk_auth_file, "could not read the file of \"snowflake.zookeeper_auth_file\": %m");
		else
		{
			*length = n < SF_ZK_AUTH_SIZE ? valid_length(auth, n) : 0;
			if (*length == 0)
				sf_zk_trouble_with(sf_zk_auth_file,
								   "the file of \"snowflake.zookeeper_auth_file\" must hold one line \"name:password\" of less than %d bytes",
								   SF_ZK_AUTH_SIZE);
		}
	}
	close(fd);
	return *length > 0;
}
