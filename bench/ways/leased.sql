-- This extension, with a node ID that is leased from ZooKeeper.

CREATE EXTENSION snowflake;
CREATE EXTENSION snowflake_zookeeper;
