-- One of several masters: the numbers of each have their own remainder.
-- Variables: number, which of the masters, and masters, how many there are.

CREATE SEQUENCE ids INCREMENT BY :masters START WITH :number;
