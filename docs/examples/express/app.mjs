// An Express application whose sessions decide about streams: NGINX asks GET /sse-auth when one begins.
//
//     PORT=3000 SESSION_SECRET=.. node app.mjs
//
// NGINX: deploy/nginx/sse-gateway-sessions.conf, and /login and /logout passed on to this application. The gateways:
// sse-gateway --refusal status --trusted-proxy ADDRESS-OF-NGINX --channels-header X-SSE-Channels --subject-header X-SSE-Subject

import crypto from 'node:crypto';
import express from 'express';
import session from 'express-session';

const SECRET = process.env.SESSION_SECRET;
const digest = (text) => crypto.createHmac('sha256', SECRET).update(text).digest();
const users = new Map([['ann', digest('the first')], ['ben', digest('the second')]]); // in the place of your database

function isPassword(name, password) {
    const known = users.get(name);
    return known !== undefined && crypto.timingSafeEqual(known, digest(String(password)));
}

const app = express();
app.use(session({
    name: 'sid',
    secret: SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: 'lax' }, // and secure: true, behind TLS
}));

app.post('/login', express.urlencoded(), (request, response, next) => {
    const { name, password } = request.body ?? {};
    if (!isPassword(name, password)) return response.sendStatus(401);
    request.session.regenerate((error) => {
        if (error) return next(error);
        request.session.user = name;
        response.sendStatus(204);
    });
});

app.post('/logout', (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.sendStatus(204)));
});

// Which channels the user of this session may have. Not for the outside: NGINX alone asks.
app.get('/sse-auth', (request, response) => {
    const { user } = request.session;
    if (!user) return response.sendStatus(401);
    response.set({ 'X-SSE-Channels': `user:${user}, news`, 'X-SSE-Subject': user }).sendStatus(200);
});

app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
