-- A ticket server: one row.  Two of them give odd and even numbers, so that
-- each can stand in for the other.  Variable: number, 1 or 2.

CREATE TABLE ticket (id bigint NOT NULL);
INSERT INTO ticket VALUES (:number - 2);
