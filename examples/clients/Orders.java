/*
 * JDBC: getGeneratedKeys() asks by RETURNING for what the server made, a long.
 *
 *   java Orders insert SECONDS NAME FILE
 *   java Orders large
 *   java Orders unset
 *
 * The connection is that of the PG... variables.
 */
import java.io.PrintWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import org.postgresql.util.PSQLException;

public class Orders {
	static long nowUs() {
		return System.nanoTime() / 1000;
	}

	static long insertOne(Connection connection, String item) throws SQLException {
		try (PreparedStatement insert =
				connection.prepareStatement("INSERT INTO orders (item) VALUES (?)", new String[] {"id"})) {
			insert.setString(1, item);
			insert.executeUpdate();
			try (ResultSet keys = insert.getGeneratedKeys()) {
				keys.next();
				return keys.getLong(1);
			}
		}
	}

	static void insert(Connection connection, double seconds, String name, String path) throws Exception {
		long until = nowUs() + (long) (seconds * 1e6);

		try (PrintWriter file = new PrintWriter(path)) {
			for (int call = 1; nowUs() < until; call++) {
				long begin = nowUs();
				long id = insertOne(connection, name + " " + call);

				file.println(name + " " + call + " " + begin + " " + nowUs() + " " + id);
			}
		}
	}

	static void large(Connection connection) throws SQLException {
		for (long id : new long[] {Long.MAX_VALUE, (1L << 53) + 1}) {
			try (PreparedStatement insert =
					connection.prepareStatement("INSERT INTO orders (id, item) VALUES (?, 'jdbc large')")) {
				insert.setLong(1, id);
				insert.executeUpdate();
			}
			try (PreparedStatement delete = connection.prepareStatement("DELETE FROM orders WHERE id = ? RETURNING id")) {
				delete.setLong(1, id);
				try (ResultSet rows = delete.executeQuery()) {
					rows.next();
					if (rows.getLong(1) != id)
						throw new AssertionError(id + " came back as " + rows.getLong(1));
					System.out.println(rows.getLong(1));
				}
			}
		}
	}

	static void unset(Connection connection) throws SQLException {
		try {
			insertOne(connection, "lamp");
		} catch (PSQLException error) {
			if (!error.getSQLState().equals("55000"))
				throw error;
			System.out.println(error.getSQLState() + ": " + error.getServerErrorMessage().getMessage());
		}
	}

	public static void main(String[] args) throws Exception {
		String url = "jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
			+ System.getenv("PGDATABASE");

		try (Connection connection = DriverManager.getConnection(url, System.getenv("PGUSER"), System.getenv("PGPASSWORD"))) {
			switch (args[0]) {
				case "insert": insert(connection, Double.parseDouble(args[1]), args[2], args[3]); break;
				case "large": large(connection); break;
				case "unset": unset(connection); break;
				default: throw new IllegalArgumentException(args[0]);
			}
		}
	}
}
