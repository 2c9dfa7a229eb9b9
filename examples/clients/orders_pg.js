#!/usr/bin/env node
// node-postgres: a bigint comes as a string, since a JavaScript number has 53
// bits; types.setTypeParser() makes it a BigInt instead.
//
//   orders_pg.js insert SECONDS NAME FILE
//   orders_pg.js large
//   orders_pg.js unset
//
// The connection is that of the PG... variables.

'use strict';

const fs = require('fs');
const { Client, types } = require('pg');

const nowUs = () => process.hrtime.bigint() / 1000n;

async function insert(client, seconds, name, path) {
	const file = fs.openSync(path, 'w');
	const until = nowUs() + BigInt(Math.round(seconds * 1e6));

	for (let call = 1; nowUs() < until; call++) {
		const begin = nowUs();
		const { rows } = await client.query('INSERT INTO orders (item) VALUES ($1) RETURNING id', [`${name} ${call}`]);
		const id = rows[0].id;

		if (typeof id !== 'string') throw new Error(`an ID came as ${typeof id}`);
		fs.writeSync(file, `${name} ${call} ${begin} ${nowUs()} ${id}\n`);
	}
	fs.closeSync(file);
}

// Once as the string that comes by default, once as a BigInt.
async function large(client) {
	for (const parse of [String, BigInt]) {
		types.setTypeParser(types.builtins.INT8, parse);
		for (const id of [parse(2n ** 63n - 1n), parse(2n ** 53n + 1n)]) {
			await client.query('INSERT INTO orders (id, item) VALUES ($1, $2)', [id, 'node-postgres large']);
			const { rows } = await client.query('DELETE FROM orders WHERE id = $1 RETURNING id', [id]);
			if (rows[0].id !== id) throw new Error(`${id} came back as ${rows[0].id}`);
			console.log(String(rows[0].id));
		}
	}
}

async function unset(client) {
	try {
		await client.query("INSERT INTO orders (item) VALUES ('lamp')");
	} catch (error) {
		if (error.code !== '55000') throw error;
		console.log(`${error.code}: ${error.message}`);
	}
}

async function main([word, ...args]) {
	const client = new Client();

	await client.connect();
	await { insert, large, unset }[word](client, ...args);
	await client.end();
}

main(process.argv.slice(2)).catch((error) => {
	console.error(error);
	process.exit(1);
});
