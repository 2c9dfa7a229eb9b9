-- This extension, with the node ID that the server's settings give.

CREATE EXTENSION snowflake;
