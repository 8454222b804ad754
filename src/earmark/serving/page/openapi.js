// Starts Swagger UI on api.html. A file of its own, because the Content-Security-Policy forbids scripts within pages.

SwaggerUIBundle({ url: "./docs.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null });
