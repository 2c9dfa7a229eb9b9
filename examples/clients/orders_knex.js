#!/usr/bin/env node
// Knex, on top of node-postgres: .returning('id') tells what the server made.
//
//   orders_knex.js insert SECONDS NAME FILE
//   orders_knex.js large
//   orders_knex.js unset
//
// The connection is that of the PG... variables.

'use strict';

const fs = require('fs');
const { types } = require('pg');

// For all of Knex's queries.
types.setTypeParser(types.builtins.INT8, BigInt);
const knex = require('knex')({ client: 'pg', connection: {}, pool: { max: 2 } });

const nowUs = () => process.hrtime.bigint() / 1000n;

async function insert(seconds, name, path) {
	const file = fs.openSync(path, 'w');
	const until = nowUs() + BigInt(Math.round(seconds * 1e6));

	for (let call = 1; nowUs() < until; call++) {
		const begin = nowUs();
		const items = Array.from({ length: 1 + (call % 3) }, () => ({ item: `${name} ${call}` }));
		const rows = await knex('orders').insert(items).returning('id');

		fs.writeSync(file, `${name} ${call} ${begin} ${nowUs()} ${rows.map((row) => row.id).join(' ')}\n`);
	}
	fs.closeSync(file);
}

async function large() {
	for (const id of [2n ** 63n - 1n, 2n ** 53n + 1n]) {
		await knex('orders').insert({ id, item: 'knex large' });
		const [row] = await knex('orders').where({ id }).delete().returning('id');
		if (row.id !== id) throw new Error(`${id} came back as ${row.id}`);
		console.log(String(row.id));
	}
}

async function unset() {
	try {
		await knex('orders').insert({ item: 'lamp' });
	} catch (error) {
		if (error.code !== '55000') throw error;
		console.log(`${error.code}: ${error.message}`);
	}
}

async function main([word, ...args]) {
	await { insert, large, unset }[word](...args);
	await knex.destroy();
}

main(process.argv.slice(2)).catch((error) => {
	console.error(error);
	process.exit(1);
});
